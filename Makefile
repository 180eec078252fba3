# `make run` and `make test` need only Python 3.11 and make. `make help` lists all targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
RUN_STAMP := $(VENV)/.installed-to-run
ARGS   ?=

.DEFAULT_GOAL := run
.PHONY: run help test test-browser test-fast coverage lint setup audit licences sbom chaos test-api fuzz bench load lock clean

run: $(RUN_STAMP) ## Start everything and create a tenant (ARGS=--once: then exit)
	$(BIN)/alga-tenants dev --example $(ARGS)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: setup lint $(BIN)/helm ## Run the static checks and all tests (ARGS=: for pytest)
	$(BIN)/pytest -n 4 --dist loadfile --max-worker-restart 0 --ignore tests/browser $(ARGS)

test-browser: setup ## Use the console in Chromium (ARGS=: for pytest)
	$(BIN)/pytest tests/browser $(ARGS)

test-fast: setup ## Run the tests that start no server and no process, in a minute
	$(BIN)/python -m pytest -p tests.fast -n 4 --dist loadfile --max-worker-restart 0 $(ARGS)

# With ARGS, only a part of the tests runs and the floor does not apply.
coverage: setup $(BIN)/helm ## Run all tests and report their coverage (ARGS=: for pytest)
	mkdir -p build
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 4 --dist loadfile --max-worker-restart 0 --ignore tests/browser $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report $(if $(ARGS),--fail-under=0)

lint: setup ## Run the static checks only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pip-licenses

# Exits with status 3 if the advisories could not be looked up.
audit: setup ## Look up advisories for the pinned packages (needs internet)
	$(BIN)/python scripts/audit.py requirements.lock $(ARGS)

licences: setup ## Check the licences of all packages (part of lint)
	$(BIN)/pip-licenses

sbom: setup ## Write build/sbom.json (CycloneDX) for production packages
	mkdir -p build
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json requirements.lock

chaos: setup ## Break servers while N= tenants change, then check (SEED=)
	$(BIN)/python -m tests.chaos $(if $(N),--tenants $(N)) $(if $(SEED),--seed $(SEED)) $(ARGS)

test-api: setup ## Send generated requests to a running gateway (SEED=)
	$(BIN)/python -m tests.api $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: setup ## Send N= generated messages to a running Temporal (SEED=)
	FUZZ_NUMBER=$(or $(N),2000) FUZZ_SEED=$(or $(SEED),1) $(BIN)/pytest tests/attack/temporal/test_fuzz.py $(ARGS)

bench: setup ## Measure the service and its floors (ARGS=--quick)
	$(BIN)/python -m bench $(ARGS)

load: setup ## Put load on a running gateway (ARGS=--help)
	$(BIN)/python -m bench.load $(ARGS)

setup: $(STAMP) ## Make .venv from the lock files

# pip takes minutes for what uv does in seconds.
define install
	@echo "… installing the packages of $(1)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes --only-binary :all: \
		--requirement $(1) \
		|| { echo "… uv has failed; pip installs them instead, which takes minutes" \
		&& $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		--requirement $(1); }
endef

$(RUN_STAMP): requirements-run.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is required; set PYTHON=/path/to/python3.11")'
	@echo "… making $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement requirements-uv.lock
	$(call install,requirements-run.lock)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMP): $(RUN_STAMP) requirements-dev.lock
	$(call install,requirements-dev.lock)
	@touch $@

$(BIN)/helm: requirements-tools.lock | setup
	$(BIN)/python scripts/fetch_tools.py

lock: ## Resolve the lock files again from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --constraint requirements.lock --extra embedded --output-file requirements-run.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --constraint requirements-run.lock --all-extras --output-file requirements-dev.lock pyproject.toml
	echo uv | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --output-file requirements-uv.lock -

clean: ## Remove .venv, build results and caches
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
