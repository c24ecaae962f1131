# Targets make their own .venv; `make PYTHON=python3.12 test` picks the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := flan_jax tasks tests benchmarks setup.py
TEST_WORKERS ?= 2

.PHONY: quickstart test test-all lint format types clean help

help:
	@echo "make quickstart   install, train MiniFLAN on this machine, evaluate, write a report"
	@echo "make test         install, run the default tests"
	@echo "make test-all     also those that take minutes and those CI has no time for"
	@echo "make lint         ruff check and format check, shellcheck;  make format  applies ruff's"
	@echo "make types        pyright"
	@echo "make clean        remove .venv and build products"

quickstart: $(STAMPS)/install
	@$(BIN)/flan-jax quickstart

test: $(STAMPS)/test
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal

test-all: $(STAMPS)/test
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal -m 'not parity'

lint: $(STAMPS)/dev
	$(BIN)/ruff check $(wildcard $(SOURCES))
	$(BIN)/ruff format --check $(wildcard $(SOURCES))
	$(BIN)/shellcheck --external-sources tpu_scripts/*.sh

format: $(STAMPS)/dev
	$(BIN)/ruff check --fix $(wildcard $(SOURCES))
	$(BIN)/ruff format $(wildcard $(SOURCES))

types: $(STAMPS)/dev
	$(BIN)/pyright

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than setup.py or constraints.txt only when an install is due.
$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "flan-jax needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is" \
	    "$$($(PYTHON) --version 2>&1 || true)." \
	    "Name another one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/install: setup.py constraints.txt | $(STAMPS)/venv
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(STAMPS)/test: setup.py constraints.txt | $(STAMPS)/install
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@ $(STAMPS)/install

$(STAMPS)/dev: setup.py constraints.txt | $(STAMPS)/test
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test,dev]'
	@touch $@ $(STAMPS)/test $(STAMPS)/install
