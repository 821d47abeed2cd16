# make demo and make test set up everything they need; Python 3.11 or newer and make are all that must be there.

# The first that runs and is new enough: a name on PATH may be a shim with nothing behind it.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster check lint types floors generated tests lock clean

help: ## what there is to make
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 22

demo: $(VENV)/runtime ## the whole path on this machine: captured alerts, an embedded CloudWatch, the proof
	@$(BIN)/falcowatch demo

test: check tests ## lint, types, floors and every quick test

check: lint types floors generated ## what needs no running

lint: $(VENV)/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/development
	$(BIN)/mypy

floors: $(VENV)/development
	$(BIN)/lint-imports --no-logo

generated: $(VENV)/development
	$(BIN)/python -m docs.generate --check
	$(BIN)/python -m docs.grafana --check

tests: $(VENV)/development
	$(BIN)/pytest $(PYTEST_ARGS)

test-cluster: $(VENV)/development ## hold the fake API server against a real one: KUBECONFIG=…
	FALCOWATCH_TEST_KUBECONFIG=$(KUBECONFIG) $(BIN)/pytest tests/cluster $(PYTEST_ARGS)

lock: $(VENV)/development ## pin every version anew, from pyproject.toml
	$(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header -o requirements.lock
	$(BIN)/uv pip compile --quiet pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header -o requirements-dev.lock

clean: ## remove what was installed and built here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "falcowatch needs Python 3.11 or newer with venv, and none was found on PATH. Name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/runtime: $(VENV)/created requirements.lock pyproject.toml
	@echo "installing what the agent needs (once) …"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/development: $(VENV)/runtime requirements-dev.lock
	@echo "installing what its tests need (once) …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

-include deploy.mk faults.mk benchmarks.mk
