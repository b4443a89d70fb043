# Everything runs from here, with no virtual environment activated.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Tools that look for others by name (natrix for vyper, ape for anvil) find ours first.
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3.11
PY := .venv/bin/python
LINT := .venv-lint/bin
PIP_FLAGS := --quiet --disable-pip-version-check
WORKERS ?= 2
STAMPS := .venv/.stamp .venv-lint/.stamp node_modules/.stamp

.PHONY: help setup compile demo test unit lint gas bench fuzz-keeper soak ops-live evidence figures snapshots artifacts fmt clean


help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14


setup: $(STAMPS) ## Create the environments from the lock files (repeated: nothing to do)

.venv/.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { echo \
	  "missing: Python 3.11 as '$(PYTHON)': apt install python3.11-venv, brew install python@3.11 or pyenv install 3.11; or say where: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "setup: Python packages (.venv)"
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PY) -m pip install $(PIP_FLAGS) --no-deps --requirement requirements.lock
	@$(PY) -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable . 2> >(grep -v -i warn >&2 || true)
	@touch $@

.venv-lint/.stamp: requirements-lint.lock | .venv/.stamp
	@echo "setup: linters (.venv-lint)"
	@test -x $(LINT)/python || $(PYTHON) -m venv .venv-lint
	@$(LINT)/python -m pip install $(PIP_FLAGS) --requirement requirements-lint.lock
	@touch $@

node_modules/.stamp: package.json package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null || { echo \
	  "missing: Node 20 or newer with npm: https://nodejs.org/en/download, apt install nodejs npm, brew install node@20 or nvm install 20" >&2; exit 1; }
	@echo "setup: anvil (node_modules)"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error > /dev/null
	@touch $@


compile: setup ## Compile every contract, with sizes
	@$(PY) -W ignore -m scripts.compiler

demo: setup ## The whole story on a local chain, checked; writes build/demo.json
	@$(PY) -m scripts.demo

test: lint ## Lint, gas figures, then every test
	@if [ -f scripts/gas.py ]; then $(PY) -m scripts.gas --check; fi
	@HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-ci} $(PY) -m pytest -q -n $(WORKERS) --dist worksteal --durations=10 tests

unit: setup ## The tests alone, without lint and gas
	@$(PY) -m pytest -q -n $(WORKERS) --dist worksteal tests

lint: setup ## ruff, mypy, mamushi, natrix; interfaces, NatSpec, sizes, reasons, artifacts
	@$(LINT)/ruff check .
	@$(LINT)/ruff format --check .
	@$(LINT)/mypy --python-executable $(PY) src/headrace scripts
	@$(PY) -m scripts.lint_vyper
	@$(PY) -m scripts.check_interfaces
	@$(PY) -m scripts.check_reasons
	@$(PY) -m scripts.build_artifacts --check

gas: setup ## Gas of every step beside its ceiling; writes snapshots/gas.json
	@$(PY) -m scripts.gas

bench: setup ## Speed of the daemons beside their goals; writes build/bench.json; ONLY="ingest graph" measures some
	@$(PY) -m scripts.bench $(ONLY)

fuzz-keeper: setup ## Rounds of reorgs, kills, drops and fee spikes; writes build/fuzz-keeper.json; ROUNDS=1000
	@$(PY) -m scripts.fuzz --rounds $(or $(ROUNDS),1000)

soak: setup ## Fifteen daemons under faults for MINUTES=30; writes build/soak.json
	@$(PY) -m scripts.soak --minutes $(or $(MINUTES),30)

ops-live: setup ## A real Prometheus with our alerts beside a local market: faults, and what fires (13 minutes)
	@$(PY) -m scripts.ops_live

evidence: setup ## The slow proofs in full (most of an hour): every byte, long histories, 500 lies; then the figures
	@HEADRACE_EXHAUSTIVE=1 $(PY) -m pytest -q -n $(WORKERS) tests/graph2/onchain
	@HYPOTHESIS_PROFILE=nightly $(PY) -m pytest -q -n $(WORKERS) tests/stateful
	@$(PY) -m scripts.lies
	@$(PY) -m scripts.evidence

figures: setup ## All figures of this build on flat keys (build/evidence.json); AGAINST=file compares
	@$(PY) -m scripts.evidence $(if $(AGAINST),--against $(AGAINST))

snapshots: setup ## Renew snapshots/abi and snapshots/size.json
	@$(PY) -m scripts.check_interfaces --write

artifacts: setup ## Renew the contract artifacts inside the Python package
	@$(PY) -m scripts.build_artifacts

fmt: setup ## Format Python and Vyper in place
	@$(LINT)/ruff check --fix --quiet . || true
	@$(LINT)/ruff format --quiet .
	@$(PY) -m scripts.lint_vyper --fix

clean: ## Remove what was built; the environments stay
	@rm -rf build .build .pytest_cache .mypy_cache .ruff_cache .hypothesis
