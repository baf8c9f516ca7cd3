# Every command of the project.  `make help` prints them; a line with two number signs behind a target is its help.
#
# A machine needs Python 3.11 or newer, make and a package index.  The rest is made here: .tools (uv, when the machine
# has none), .venv (the locked environment), .judges (the third-party clients).  Removing them costs only time.

.DEFAULT_GOAL := help
.PHONY: help run test ci fmt lint type arch judges bench prove campaign audit-tool checks lock-check

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .tools/bin/uv)
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never

# A mirror of the package index: uv.lock names the files' first home, so take the same versions and hashes from there.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

help: ## print this list
	@awk -F ' ## ' '/^[a-z-]+:.* ## /{ split($$1, target, ":"); printf "  make %-10s %s\n", target[1], $$2 }' $(MAKEFILE_LIST)

run: .venv/.runs .idnode/sample.ndjson ## the node, with a sample to ask; Ctrl-C stops it
	@exec $(BIN)/idnode serve --with-parent --toplevel --sample .idnode/sample.ndjson

test: .venv/.made ## all tests; fetches what it needs
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

ci: checks test judges ## the whole truth: form, lint, types, architecture, tests (documents too), judges

fmt: .venv/.made ## put the code in form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: .venv/.made ## form, rules, and a lock file that fits
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(UV) lock --check

type: .venv/.made ## types, strict, tests too
	$(BIN)/mypy

arch: .venv/.made ## who may import whom
	$(BIN)/lint-imports

judges: .venv/.made .judges/.made ## other people's clients and questions against our node
	$(BIN)/python -m tests.support.judges

bench: .venv/.made ## how fast it reads and writes here, beside three baselines
	$(BIN)/python -m loadtest.bench

prove: .venv/.runs ## a million resolutions, counted four times, with a signed report
	$(BIN)/python -m loadtest prove --resolutions 1000000

campaign: .venv/.made .judges/.made ## the long runs: random messages, killed processes, changes under load
	$(BIN)/python -m loadtest.fuzz_codec --messages 10000000 --jobs 2
	$(BIN)/python -m loadtest.fuzz_ports --messages 1000000
	$(BIN)/python -m tests.support.judge_openapi --seconds 300 --seed $$(date +%s)
	$(BIN)/python -m loadtest.kill_workers --kills 100
	$(BIN)/python -m loadtest.kill_writes --bursts 200
	$(BIN)/python -m loadtest.kill_ledger --kills 200
	$(BIN)/python -m loadtest.million --resolutions 1000000
	$(BIN)/python -m loadtest.stale --seconds 120
	$(BIN)/python -m loadtest.soak --minutes 30
	$(BIN)/python -m loadtest.sync_load --seconds 300 --registrations 500 --changes 20
	$(BIN)/python -m loadtest.kill_sync --faults all --seed 1
	$(BIN)/python -m tests.support.judge_midnights

audit-tool: .venv/.made ## dist/idnode-audit.pyz: the verifier in one file, for an auditor
	$(BIN)/python -m node.ledger.verify.packing dist/idnode-audit.pyz

checks: lint type arch

lock-check: | $(filter .tools/%,$(UV))
	$(UV) lock --check

.tools/bin/uv:
	@echo "uv is not installed; putting uv $(UV_VERSION) into .tools"
	@$(PYTHON) -m venv .tools >/dev/null 2>&1 && .tools/bin/python -m pip install --quiet uv==$(UV_VERSION) \
	  || $(PYTHON) -m pip install --quiet --target .tools uv==$(UV_VERSION) \
	  || { echo "This needs Python 3.11 or newer with pip or venv (Debian: apt-get install python3-venv), and a package index."; exit 1; }

.venv/.made: pyproject.toml uv.lock | $(filter .tools/%,$(UV))
ifdef UV_DEFAULT_INDEX
	$(UV) venv --quiet --clear .venv
	$(UV) export --quiet --frozen --no-emit-project | $(UV) pip sync --quiet --require-hashes -
	$(UV) pip install --quiet --no-deps --editable .
else
	$(UV) sync --frozen --quiet
endif
	@touch $@

# What the node needs to run, and no more; what lies there already, such as the tools for the tests, stays.
.venv/.runs: pyproject.toml uv.lock | $(filter .tools/%,$(UV))
ifdef UV_DEFAULT_INDEX
	test -x $(BIN)/python || $(UV) venv --quiet --clear .venv
	$(UV) export --quiet --frozen --no-dev --no-emit-project | $(UV) pip install --quiet --require-hashes -r -
	$(UV) pip install --quiet --no-deps --editable .
else
	$(UV) sync --frozen --no-dev --inexact --quiet
endif
	@touch $@

.idnode/sample.ndjson: | .venv/.runs
	@mkdir -p $(@D)
	$(BIN)/python -m loadtest.corpus --records 20000 --seed 1 --out $@.partial
	@mv $@.partial $@

.judges/.made: tests/judges/requirements.txt | .venv/.made
	$(UV) venv --quiet --clear --seed .judges
	.judges/bin/python -m pip install --quiet --no-deps --ignore-requires-python --only-binary :all: --require-hashes -r $<
	@touch $@
