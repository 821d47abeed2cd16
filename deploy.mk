# What belongs to deploying: renders, the image, the tools of tests/deploy, the end-to-end run. Included by the Makefile.

IMAGE ?= falcowatch/falcowatch:0.1.0
BUILDER ?= $(shell command -v docker || command -v podman || command -v buildah)
# command:package. What is there already is left alone: a node from elsewhere conflicts with Debian's npm.
DEBIAN_TOOLS := chromium:chromium conmon:conmon buildah:buildah runc:runc debootstrap:debootstrap \
	promtool:prometheus prometheus-alertmanager:prometheus-alertmanager node:nodejs npm:npm \
	containerd:containerd busybox:busybox-static faketime:faketime
GRAFANA := .tools/grafana/node_modules/@grafana/schema

.PHONY: render-manifests check-manifests image image-local test-tools e2e

render-manifests: $(VENV)/development ## rewrite what is generated: chart schema and README, golden renders, manifests/agent
	$(BIN)/python -m helm.scripts.generate
	$(BIN)/python -m helm.scripts.render

check-manifests: $(VENV)/development ## refuse placeholders left in manifests/ (or MANIFESTS=path …)
	$(BIN)/python -m manifests.check $(MANIFESTS)

image: ## build the image with docker, podman or buildah: IMAGE=name PYTHON_IMAGE=base@sha256:… BUILDER=…
	@test -n "$(BUILDER)" || { echo "no docker, podman or buildah here; on Debian without a registry: make image-local"; exit 1; }
	$(BUILDER) build $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) \
	  --build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null || echo unknown) --tag $(IMAGE) .

image-local: $(VENV)/development ## build it on a base made here by debootstrap, without a registry (root, Debian)
	$(BIN)/python -m image.local

test-tools: $(VENV)/development ## install what tests with real parts need: Debian packages (as root), helm, npm, a base image
	@test "$$(id -u)" = 0 || { echo "make test-tools installs Debian packages ($(notdir $(subst :,/,$(DEBIAN_TOOLS)))): run it as root. Tests that miss a tool skip, and say which."; exit 1; }
	@command -v apt-get >/dev/null || { echo "make test-tools knows Debian and Ubuntu only; install yourself: $(notdir $(subst :,/,$(DEBIAN_TOOLS)))"; exit 1; }
	@missing=; for tool in $(DEBIAN_TOOLS); do command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool##*:}"; done; \
	if [ -n "$$missing" ]; then apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; fi
	$(BIN)/python -m helm.scripts.binaries
	@test -d $(GRAFANA) || npm install --prefix .tools/grafana --no-save --no-fund --no-audit @grafana/schema@13 typescript@5
	$(BIN)/python -m image.local base

e2e: $(VENV)/development ## the whole way on a cluster: KUBECONFIG=… IMAGE=… (kind, EKS, any); prints what it saw
	$(BIN)/python -m tests.e2e.run --image $(IMAGE)
