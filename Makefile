# The two commands everybody needs are `make run` and `make test`; both need only Python 3.11 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=

.PHONY: run test lint setup audit licences sbom chaos test-api fuzz bench load lock clean

run: setup ## Start everything, provision an example tenant, stay up (ARGS=--once: exit after it)
	$(BIN)/alga-tenants dev --example $(ARGS)

test: setup lint $(BIN)/helm ## Lint, types, then all tests
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

lint: setup ## Static checks only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/lint-imports
	$(BIN)/pip-licenses

audit: setup ## Ask for advisories about the pinned packages (status 3: could not be found out; needs the internet)
	$(BIN)/python scripts/audit.py requirements.lock $(ARGS)

licences: setup ## Check the licences of all installed packages; a part of lint
	$(BIN)/pip-licenses

sbom: setup ## Write build/sbom.json, CycloneDX, of what is pinned for production; the same lock gives the same bytes
	mkdir -p build
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json requirements.lock

chaos: setup ## Break everything while tenants are provisioned, then check each (N= tenants, SEED=)
	$(BIN)/python -m tests.chaos $(if $(N),--tenants $(N)) $(if $(SEED),--seed $(SEED)) $(ARGS)

test-api: setup ## Send thousands of generated requests to a running gateway, and check each answer (SEED=)
	$(BIN)/python -m tests.api $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: setup ## Send generated starts, signals and updates to Temporal, and look what is left of them (N= how many, SEED=)
	FUZZ_NUMBER=$(or $(N),2000) FUZZ_SEED=$(or $(SEED),1) $(BIN)/pytest tests/attack/temporal/test_fuzz.py $(ARGS)

bench: setup ## Measure the service beside its floors, in under 5 minutes (ARGS=--quick, --only SECTION, --strict, --against REVISION)
	$(BIN)/python -m bench $(ARGS)

load: setup ## Put load on a running gateway, with the key in ALGA_TENANTS_API_KEY (ARGS=--help)
	$(BIN)/python -m bench.load $(ARGS)

setup: $(STAMP) ## Make .venv from the hash-pinned lock file

$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

$(BIN)/helm: requirements-tools.lock | setup
	$(BIN)/python scripts/fetch_tools.py

lock: ## Re-resolve the lock files from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --constraint requirements.lock --all-extras --output-file requirements-dev.lock pyproject.toml

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
