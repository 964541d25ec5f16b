# make demo   everything at the default scale: data, training, inference, oracle, figures, page
# make test   linters and all tests
# make env    only set up .venv (the other two do it themselves)
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# Empty: the first of python3, python3.12, python3.11, python3.13 that works. Or: make PYTHON=/path/to/python3.12
PYTHON ?=
CORES ?= all

.PHONY: help env demo report test lint unit lock schema clean
help:
	@sed -n 's/^# make/make/p' Makefile

env: $(VENV)/.kernel

# The compiled kernel alone is built again when its source changes.
$(VENV)/.kernel: $(VENV)/.ready src/mindthegap/formats/_runs.c
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The stamp is written last: a set-up that was killed starts over.
$(VENV)/.ready: envs/requirements.lock envs/bootstrap.lock pyproject.toml
	@envs/setup.sh "$(VENV)" $(PYTHON)

demo: env
	$(BIN)/snakemake --cores $(CORES)
	@echo "Figure:  results/demo/paper/gap_bars/gap_bars.png"
	@echo "Page:    results/demo/tracklens/index.html (opens from disk)"

report: env
	$(BIN)/snakemake --cores $(CORES) report

test: env lint
	$(BIN)/python -m pytest

unit: env
	$(BIN)/python -m pytest tests/unit

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/mypy

lock: $(BIN)/uv
	envs/lock.sh $(BIN)/uv

$(BIN)/uv:
	@$(MAKE) env

schema: env
	$(BIN)/python -c "from mindthegap.config import write_schema; write_schema('workflow/schemas/config.schema.json')"

clean:
	rm -rf $(VENV) .snakemake results/smoke results/demo
