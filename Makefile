# Two commands matter to a newcomer: `make demo` and `make test`. Each sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
DEMO ?= lesiongraph-demo
REAL ?= lesiongraph-real
PACS ?= lesiongraph-pacs
PACS_PATIENTS ?= 8
OHIF ?= lesiongraph-ohif
DATA ?= $(or $(LESIONGRAPH_REAL_DATA),../shared/data)
PYTEST_ARGS ?=

.PHONY: help setup servers demo pacs pacs-demo ohif real test lint format types bench clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(STAMP) ## Create .venv with lesiongraph and its development tools

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

servers: ## Install Orthanc, PostgreSQL, OHIF and the validators that tests start (Debian, as root)
	bash tools/servers.sh

demo: $(STAMP) ## Phantom hospital -> mine -> locate -> train -> embed -> match -> evaluate -> report
	PATH="$(abspath $(BIN)):$$PATH" bash tools/demo.sh $(DEMO)

pacs: $(STAMP) ## An Orthanc of your own with a phantom hospital and the real DICOM in it, until Ctrl-C
	test -d $(PACS)/hospital || $(BIN)/lesiongraph phantom --patients $(PACS_PATIENTS) --seed 7 --out $(PACS)/hospital
	$(BIN)/python tools/orthanc.py --storage $(PACS)/orthanc --load $(PACS)/hospital/dicom $(wildcard $(DATA)/dicom $(DATA)/dicom_sr)

pacs-demo: $(STAMP) ## Mine that PACS, match, send reports back, follow a new study
	$(BIN)/python tools/pacs_demo.py $(PACS) --data $(DATA) --patients $(PACS_PATIENTS)

ohif: $(STAMP) ## A phantom hospital with our reports, in an Orthanc and the OHIF viewer, until Ctrl-C
	bash tools/ohif_app/install.sh
	$(BIN)/python tools/ohif.py $(OHIF)

real: $(STAMP) ## The same chain on the real data in ../shared/data (or LESIONGRAPH_REAL_DATA)
	$(BIN)/python tools/real.py $(DATA) $(REAL)

test: $(STAMP) ## Run all tests
	$(BIN)/pytest -n 2 $(PYTEST_ARGS)

lint: $(STAMP) ## Style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## Types alone
	$(BIN)/mypy

bench: $(STAMP) ## Measure speed, each figure beside its floor or its peer
	for script in benchmarks/*.py; do \
		echo "== $$script"; status=0; $(BIN)/python $$script || status=$$?; \
		if [ $$status -eq 2 ]; then echo "   not run: it is told what to measure by arguments (benchmarks/README.md)"; \
		elif [ $$status -ne 0 ]; then exit $$status; fi; \
	done

clean: ## Remove what demo and real made
	rm -rf $(DEMO) $(REAL) $(PACS) $(OHIF)
