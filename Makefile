# Every target does its own set-up: a virtual environment in .venv with the package, and with its tools where needed.
# make demo        place a real call on a real Asterisk and prove a number; Ctrl-C ends it. AUTO=1: unattended
# make abuse       attack the service in a lab: what leaves, what it costs, what is proven. ONLY=NAME: one attack
# make moves       move 1,000 calls with real phones, and compare history, phones and Asterisk's records. COUNT=, SEED=
# make test        everything: checks, unit, integration and e2e tests
# make check       the quick one: format, lint, types, import contracts, every query prepared, unit tests
# make bench       look-ups beside crowds, and what one user can have written, as ratios. ONLY=doors or writes
# make lock        bring requirements/*.txt, with the hashes of every file, up to the newest releases that pyproject.toml allows
# make mutants     change the pure parts one by one and see whether the unit tests notice. ALL=1, ONLY=, COUNT=, SEED=

SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUNS := $(VENV)/.runs

unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo abuse moves bench test check lint format style types imports spelling queries unit integration e2e tests lint-beside mutants wheel lock clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

define new_venv
	$(PYTHON) -c 'import sys; sys.exit("binding_ivr needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
endef

# Exactly the files that the lock names, by their hashes, and the package as it lies here.
define locked
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --require-hashes --requirement requirements/$(1).txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endef

# All that the service needs: the demonstration needs no more.
$(RUNS): pyproject.toml requirements/embedded.txt
	$(new_venv)
	$(call locked,embedded)
	touch $@

# And the tools of development, into the same folder. To compile all of them takes half a minute; Python compiles what is
# used when it is used first.
$(READY): pyproject.toml requirements/dev.txt
	$(new_venv)
	$(call locked,dev)
	touch $(RUNS) $@

# The newest releases that pyproject.toml allows, with the hashes of all their files; for every Python and processor.
LOCK := $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--upgrade --custom-compile-command 'make lock'

$(VENV)/lock:
	$(PYTHON) -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

lock: | $(VENV)/lock
	$(LOCK) --group build --output-file requirements/build.txt
	$(LOCK) pyproject.toml --output-file requirements/service.txt
	$(LOCK) pyproject.toml --extra embedded --group build --output-file requirements/embedded.txt
	$(LOCK) pyproject.toml --extra embedded --extra dev --group build --output-file requirements/dev.txt

demo: $(RUNS)
	$(BIN)/binding-ivr demo $(if $(AUTO),--auto)

abuse: $(READY)
	$(BIN)/python -m tests.abuse $(if $(ONLY),--only $(ONLY))

moves: $(READY)
	$(BIN)/python -m tests.bench.moves $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

# The parts of these two run side by side; what a part says is shown as a whole.
check: $(READY)
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target types unit format style imports spelling queries

lint: $(READY)
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target types format style imports spelling

format: $(READY)
	$(BIN)/ruff format --check .

style: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

spelling: $(READY)
	$(BIN)/codespell

queries: $(READY)
	$(BIN)/pytest -q tests/integration/test_store_queries.py

unit: $(READY)
	$(BIN)/pytest -q -n 2 --dist loadfile tests/unit

integration: $(READY)
	$(BIN)/python -m tests integration

e2e: $(READY)
	$(BIN)/python -m tests e2e

# What computes gives way to the calls of the tests.
test: $(READY)
	@$(MAKE) --no-print-directory --jobs=2 --keep-going lint-beside tests

lint-beside: $(READY)
	@nice $(MAKE) --no-print-directory lint

tests: $(READY)
	@$(BIN)/python -m tests

bench: $(READY)
	$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

mutants: $(READY)
	nice -n 19 $(BIN)/python -m tests.mutants $(if $(ALL),--all) $(if $(ONLY),--only $(ONLY)) $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

# A wheel, installed in a fresh virtual environment outside of the checkout, must run the demo all by itself.
wheel: $(READY)
	rm -rf dist
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
