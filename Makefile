# `make demo` and `make test` set up everything themselves: they need Python 3.11 or newer and nothing else.
# No root is needed, and nothing but caches (~/.cache) is written outside this folder.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell $(name) -c \
	'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $(name))) python3)
UV ?= $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)
WORKERS ?= 2
KILLS ?= 300
BIN := .venv/bin
SOURCES := $(shell find gateway plugins -name '*.pyx' -o -name '*.pxi')
PRODUCT := $(shell find gateway plugins admin_api -name '*.py' -o -name '*.pyx' -o -name '*.pxi' -o -name '*.yaml' -o -name '*.sql')

# uv would otherwise try to download a Python of its own.
export UV_PYTHON_PREFERENCE ?= only-system
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
unexport VIRTUAL_ENV
# The tests start hundreds of processes: without compiled files each takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint format bench load fuzz kills wheel clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

setup: .venv/.ready ## make the virtual environment in .venv, with a uv of its own in .tools if there is none

.venv/.ready: pyproject.toml uv.lock hatch_build.py $(SOURCES) | $(UV)
	$(UV) sync --frozen
	@touch $@

.tools/bin/uv:
	$(PYTHON) scripts/bootstrap.py .tools

demo: setup ## start PostgreSQL, MariaDB, MongoDB, a shop on each and a gateway; ARGS=--tour tells the story and ends
	$(BIN)/querygate demo $(ARGS)

test: setup ## run the tests; REQUIRE_SERVERS=1 fails where a database server is missing, ARGS goes to pytest
	REQUIRE_SERVERS=$(REQUIRE_SERVERS) $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

lint: setup ## check style, types and the boundaries between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup ## rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .bench/.ready ## measure the compiled wheel against pgbouncer and a direct connection
	.bench/bin/python scripts/run_installed.py benchmarks $(ARGS)

load: setup ## put users on the databases, direct and through a gateway, and on the admin API; ARGS goes to the runner
	$(BIN)/python -m loadtests $(ARGS)

# What is measured is what is shipped: the wheel, in an environment of its own.
.bench/.ready: pyproject.toml uv.lock hatch_build.py $(PRODUCT) | $(UV)
	rm -rf .bench
	QUERYGATE_REQUIRE_COMPILED=1 $(UV) build --quiet --wheel --out-dir .bench/dist
	$(UV) venv --quiet --allow-existing .bench
	$(UV) export --quiet --frozen --only-group dev --only-group servers --no-hashes --output-file .bench/dev.txt
	$(UV) pip install --quiet --python .bench/bin/python --requirement .bench/dev.txt .bench/dist/*.whl
	@touch $@

fuzz: setup ## run every property test on many more examples
	$(BIN)/pytest -m hypothesis --hypothesis-profile=fuzz --timeout=0 --numprocesses $(WORKERS) $(ARGS)

kills: setup ## kill the gateway and the audit's writer KILLS times (300) under load, and look whether anything is lost
	QUERYGATE_KILLS=$(KILLS) REQUIRE_SERVERS=1 $(BIN)/pytest tests/gateway/audit/test_crash.py \
		tests/adversity/test_gateway_dies.py -k "kill" --log-cli-level=info $(ARGS)

wheel: setup ## build the wheel into dist
	$(UV) build --wheel

clean: ## remove what builds and tests leave behind, but not .venv and .tools
	rm -rf build dist .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find gateway plugins admin_api tests scripts -name __pycache__ -prune -exec rm -rf {} +
