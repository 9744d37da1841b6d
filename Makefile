# `make demo` and `make test` do all their own set-up; everything else expects `make venv`.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help demo test check format lint types contracts unit ui integration test-engines sample fuzz bench docs screenshot venv engine root-image clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: venv engine root-image ## Everything from nothing: engine, images, then the console on the sample
	$(BIN)/splitdeck

test: venv engine root-image check integration sample ## All checks and tests, on a real engine

check: format lint types contracts unit ui ## What every change must pass; needs no engine

format: venv
	$(BIN)/ruff format --check .

lint: venv
	$(BIN)/ruff check .
	$(BIN)/shellcheck scripts/*.sh tests/engines/*.sh .ci/run

types: venv
	$(BIN)/mypy

contracts: venv
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/contracts

unit: venv
	$(BIN)/pytest -q -n 2 tests/unit

ui: venv
	$(BIN)/pytest -q -n 2 tests/ui

integration: venv engine root-image test-engines ## Tests on real engines
	$(BIN)/pytest -q -n 2 --dist loadfile tests/integration -m 'not sample and not alone'
	$(BIN)/pytest -q tests/integration -m alone

test-engines: engine root-image ## Docker 28 with both image stores, Podman: beside the machine's own engine
	@tests/engines/ensure-engines.sh up

sample: venv engine root-image ## The sample's real images: built, run, tested
	$(BIN)/pytest -q tests/integration -m sample

fuzz: venv ## Decoders and the Dockerfile reader against wrong input, FUZZ_SECONDS each
	$(BIN)/python -m tests.fuzz $(FUZZ)

bench: venv engine root-image ## Side-by-side measurements, as ratios
	$(BIN)/python tests/perf/bench.py $(BENCH)

docs: venv ## docs/config.md, from the code
	$(BIN)/python scripts/write_config_docs.py

screenshot: venv engine root-image ## docs/screenshot.svg, from a live session on the sample
	$(BIN)/python scripts/screenshot.py

venv: $(VENV)/.complete ## The virtual environment with all dependencies

$(VENV)/.complete: pyproject.toml
	scripts/ensure-venv.sh $(VENV) $(PYTHON)
	@touch $@

engine:
	@scripts/ensure-engine.sh

root-image:
	@scripts/ensure-root-image.sh

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
