# Two commands matter: `make up` runs everything on this machine, `make test` proves it.

.DEFAULT_GOAL := help
.PHONY: help setup up test demo lint check bench simulate

# The first that is new enough; PYTHON=... chooses another.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin

# How `make up ARGS="--port-base 9000"` and `make test ARGS="-k refund"` pass words on.
ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/complete ## make .venv and install into it, once

up: setup ## run everything on loopback until Ctrl-C
	@exec $(BIN)/counterfoil up $(ARGS)

# Three on two cores, as tests wait more than they compute; the long modules, which come first by name, begin first.
# What is compiled is kept, whatever the shell says: the suite starts hundreds of processes, and pytest rewrites tests.
test: setup ## the whole test suite, with its own PostgreSQL and Redis-compatible server
	@PYTHONDONTWRITEBYTECODE= exec $(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(ARGS)

demo: setup ## a tour of the main job, checked
	@exec $(BIN)/python -m local.demo $(ARGS)

lint: setup ## format, lint, types, import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## lint and test

bench: setup ## the benchmarks, as ratios to their baselines
	@exec $(BIN)/python -m bench $(ARGS)

simulate: setup ## customers buy while everything breaks, then every promise is checked; SEED= PAYMENTS= MINUTES=
	@exec $(BIN)/python -m tests.simulation --keep-bounds $(if $(SEED),--seed $(SEED)) \
		$(if $(PAYMENTS),--payments $(PAYMENTS)) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

# Made last, so that a setup that was cut short is done again.
.venv/complete: pyproject.toml constraints.txt local/setup.py
	@echo "Installing into .venv; this happens once." >&2
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; say where with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is older than Python 3.11; choose a newer one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || uv venv --quiet --allow-existing --seed --python $(PYTHON) .venv || { \
		echo "$(PYTHON) has no venv module; install it (Debian: python3-venv), or install uv." >&2; exit 1; }
	@$(BIN)/python local/setup.py requirements > .venv/requirements.txt
	@if command -v uv > /dev/null; \
		then uv pip install --quiet --python $(BIN)/python -c constraints.txt -r .venv/requirements.txt; \
		else $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
			-r .venv/requirements.txt; fi
	@$(BIN)/python local/setup.py launcher $(BIN)/counterfoil
	@touch $@
