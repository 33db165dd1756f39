# Everything runs in a virtual environment that make creates by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench clean

demo: $(VENV)/installed
	$(BIN)/brittle demo --out runs/demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv-bench/installed
	.venv-bench/bin/python -m bench

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# The peers have a virtual environment of their own. One of their dependencies builds with an older setuptools only.
.venv-bench/installed: pyproject.toml bench/requirements.txt bench/requirements-alone.txt
	$(PYTHON) -m venv .venv-bench
	PIP_CONSTRAINT=bench/build-constraints.txt .venv-bench/bin/python -m pip install --quiet --editable . -r bench/requirements.txt
	.venv-bench/bin/python -m pip install --quiet --no-deps -r bench/requirements-alone.txt
	touch $@

clean:
	rm -rf $(VENV) .venv-bench build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
