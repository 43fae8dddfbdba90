# Two commands for a newcomer: `make app` and `make test`. Each makes .venv on first use.
# The relay itself is in the commands that `demo` chains; README explains every one.

PYTHON ?= python3
DB     ?= prefs.duckdb
RUN    := .venv/bin/python
PIP    := $(RUN) -m pip install --disable-pip-version-check --quiet

.PHONY: app demo test check bench format
.DEFAULT_GOAL := app

app: demo
	$(RUN) app.py --db $(DB)

# First use only: candidates of the built-in model, their scores, their pairs. An interrupted
# preparation goes on where it stopped; a database that is there already is left alone.
demo: .venv/ready
	@if [ ! -e $(DB) ] || [ -e $(DB).preparing ]; then set -e; \
	  echo "Preparing a demo in $(DB): the built-in model samples clips, they are scored and paired (about a minute, once)."; \
	  touch $(DB).preparing; \
	  $(RUN) -m train.sample --db $(DB) --model shapes --prompts builtin:24 -n 4; \
	  $(RUN) -m scorers --db $(DB) --profile shapes; \
	  $(RUN) -m data.pair --db $(DB) --profile shapes --strategy best-worst; \
	  rm $(DB).preparing; fi

test: .venv/ready-dev
	$(RUN) -m pytest -n 2 --dist worksteal

check: .venv/ready-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports

format: .venv/ready-dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/ready-dev
	$(RUN) -m benchmarks.shapes_gain

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11. Name a newer one: make PYTHON=python3.12 app"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip
	@touch $@

.venv/ready: .venv/python requirements.txt constraints.txt
	@echo "Installing into .venv (a few minutes, once; torch alone is several gigabytes)."
	$(PIP) -r requirements.txt -c constraints.txt
	@touch $@

# pyright's first call fetches its own program: done here, so that checking needs no network.
.venv/ready-dev: .venv/ready requirements-dev.txt
	$(PIP) -r requirements-dev.txt -c constraints.txt
	.venv/bin/pyright --version
	@touch $@
