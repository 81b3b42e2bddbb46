# Two commands on a fresh machine: `make report` and `make test`. Everything lives in .venv.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One interpreter decides; its caches and the user's site-packages stay out.
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup report test test-full lint bench campaign soak lab lock notebooks examples clean

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## Make .venv from requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "perfkit needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
	  echo "  mend: make PYTHON=python3.12 setup"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python has no venv module."; \
	  echo "  mend: install it (Debian and Ubuntu: apt install python3-venv), then make again"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing locked packages into $(VENV) (a minute or two, once)"
	@$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

report: $(READY) ## Measure the first scenario on 1, 2 and 4 workers; leave one report
	@$(BIN)/perfkit sweep first --axis workers=1,2,4

# Three at a time, since most of them wait; what they say of a measured run holds on a busy machine
# too (tests/soundness.py).
# The ci profile draws the same examples each time; test-full explores new ones. Bytecode is kept,
# whatever the shell says: hundreds of children would compile all they import.
test test-full nbval: export PYTHONDONTWRITEBYTECODE :=
test: $(READY) lint ## Lint, types, tests, notebooks
	@$(BIN)/python -m pytest -m "not full" -q --hypothesis-profile=ci -n 3 --dist loadfile --no-loadscope-reorder
	@$(MAKE) --no-print-directory nbval

.PHONY: nbval
nbval:
	@$(BIN)/python -m pytest -q -o addopts="" -o testpaths=notebooks -p no:cacheprovider \
	  -W "ignore::DeprecationWarning" --nbval --nbval-current-env --nbval-cell-timeout 60 \
	  --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks

test-full: $(READY) lint ## The above, and browser tests, wheel installs, every kill
	@$(BIN)/python -m pytest -m "not full" -q -n 3 --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest -m full -q -n 2 --dist loadfile --no-loadscope-reorder
	@$(MAKE) --no-print-directory nbval

lint: $(READY)
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/mypy

bench: $(READY) ## Measure the instrument itself, beside its peers where they are installed
	@$(BIN)/python -m tests.benchmarks

campaign: $(READY) ## Long measurements, resumable: PART=stacks, profiles, servers ...
	@$(BIN)/python -m tests.benchmarks.campaign $(PART)

soak: $(READY) ## Load for MINUTES=30 while things break: all accounted for, memory level
	@$(BIN)/python -m tests.benchmarks.soak --minutes $(or $(MINUTES),30)

lab: $(READY) ## Open the notebooks in JupyterLab
	@$(BIN)/jupyter lab notebooks

notebooks: $(READY) ## Execute the notebooks in place on the example data
	@$(BIN)/python -m perfkit.reporting.normalise notebooks

examples: $(READY) ## Make notebooks/example_data again, byte for byte
	@$(BIN)/python notebooks/example_data/make.py

lock: ## Renew requirements.lock from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --extra bundled --extra dev -o requirements.lock

clean: ## Remove .venv and caches; results stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
