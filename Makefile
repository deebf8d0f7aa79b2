# Four commands: make demo, make test, make lint, make bench. Each does its own set-up and ends with a verdict.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
FAIL   ?= fetch_error

.PHONY: help demo test lint bench lock

help:  ## What there is
	@sed -n 's/^\([a-z]*\):.*##/  make \1\t/p' $(MAKEFILE_LIST)

# The child side is checked as what it is: a package of its own on an older Python, with nothing of ours beside it.
CHILD_TYPES := --config-file= --strict --python-version 3.10 --no-site-packages --disable-error-code import-not-found \
  --cache-dir $(CURDIR)/.mypy_cache/child -p _pipeline_alerts_child

# A stamp per lock file: set-up costs nothing the second time.
$(VENV)/.bridge: requirements/bridge.lock pyproject.toml
	@echo "── Setting up Python packages (about a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is %s" % sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bridge.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@$(BIN)/python -m compileall -q alert_bridge collector instrumentation
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.bridge
	@echo "── Setting up the tools for tests"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

demo: $(VENV)/.bridge  ## Run a failing pipeline through a real Collector and bridge, and show who was told
	@$(BIN)/pipeline-alerts collector install
	@$(BIN)/python examples/monthly_run/demo.py --fail $(FAIL)

test: lint  ## All checks and all tests, with a real Collector
	@$(BIN)/pipeline-alerts collector install
	@$(BIN)/python -m tests.servers.telemetrygen
	@echo "── Tests"
	@$(BIN)/pytest -n 2 $(TESTS)
	@echo "── make test: all good"

lint: $(VENV)/.dev  ## Format, style, types, and the order of the rooms
	@echo "── Lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@cd instrumentation/child && "$(CURDIR)"/$(BIN)/mypy $(CHILD_TYPES)
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.dev  ## Measure, as ratios against a peer in the same run
	@$(BIN)/pipeline-alerts collector install
	@$(BIN)/python -m tests.benchmarks

lock:  ## Pin again what pyproject.toml asks for (for maintainers; needs uv)
	@for extra in bridge dev; do \
	  uv pip compile pyproject.toml --extra $$extra --universal --generate-hashes --no-annotate --no-header \
	    --quiet --output-file requirements/$$extra.lock; done
