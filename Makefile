# Everything runs in a virtual environment that make creates by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-newest test-lowest lint bench constraints dist docs explorer clean

demo: $(VENV)/installed
	$(BIN)/brittle demo --out runs/demo

# Each of many processes would compile brittle anew where bytecode is not kept.
test test-newest test-lowest: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal

# With the newest versions that there are today: brought up to date each time.
test-newest:
	test -d .venv-newest || $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[dev]'
	.venv-newest/bin/python -m pytest -n auto --dist worksteal

# With the lowest versions that pyproject.toml allows. PYTHON chooses the Python: the lowest one allowed is 3.10.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest -n auto --dist worksteal

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv-bench/installed
	.venv-bench/bin/python -m bench

# The page of docs/explorer.md.
explorer: $(VENV)/installed
	rm -rf build/explorer build/docs/explorer
	mkdir -p build/docs/explorer
	$(BIN)/brittle run docs/explorer/digits.toml --out build/explorer
	$(BIN)/brittle export build/explorer --web build/docs/explorer/digits.html

# Into build/docs. Warnings are errors, and so are links within the pages that lead nowhere.
docs: $(VENV)/installed-docs explorer
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs
	cd docs && ../$(BIN)/python -m drawn.links ../build/docs

# What the tests have just passed with is written down for `make test`. An older Python has not all of it, and gets what
# there is for it.
constraints: test-newest
	python=$$(.venv-newest/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	{ echo '# Written by `make constraints`: what `make test` installs. Names and versions only.'; \
	.venv-newest/bin/python -m pip freeze --exclude-editable | sed "s/$$/; python_version >= '$$python'/"; } > constraints.txt; \
	{ echo '# Written by `make constraints`: what `make docs` installs beside it. Names and versions only.'; \
	.venv-newest/bin/python -m pip install --quiet --dry-run --constraint constraints.txt --report - '.[docs]' \
	| .venv-newest/bin/python -c 'import json, sys; told = [one["metadata"] for one in json.load(sys.stdin)["install"]]; \
	print(*sorted("{name}=={version}".format(**one) for one in told if one["name"] != "brittle"), sep="\n")' \
	| sed "s/$$/; python_version >= '$$python'/"; } > docs/constraints.txt

# What is committed, with the commit's time: the same commit gives the same bytes.
dist: .venv-dist/installed
	rm -rf build dist && mkdir -p build/source && git archive HEAD | tar -x -C build/source
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .venv-dist/bin/python -m build --outdir dist build/source
	# setuptools gives the sdist the times of its making: packed again, with the commit's.
	sdist=$$(ls dist/*.tar.gz) && mkdir build/again && tar -xzf $$sdist -C build/again && \
	tar --sort=name --mtime=@$$(git log -1 --format=%ct) --owner=0 --group=0 --numeric-owner -C build/again -cf - . | gzip -n > $$sdist

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed docs/constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --constraint docs/constraints.txt --editable '.[docs]'
	touch $@

.venv-lowest/installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[dev]'
	touch $@

# The peers have a virtual environment of their own. One of their dependencies builds with an older setuptools only.
.venv-bench/installed: pyproject.toml constraints.txt bench/requirements.txt bench/requirements-alone.txt
	$(PYTHON) -m venv .venv-bench
	PIP_CONSTRAINT=bench/build-constraints.txt .venv-bench/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[train]' -r bench/requirements.txt
	.venv-bench/bin/python -m pip install --quiet --no-deps -r bench/requirements-alone.txt
	touch $@

.venv-dist/installed: pyproject.toml
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/python -m pip install --quiet build
	touch $@

clean:
	rm -rf $(VENV) .venv-dist .venv-newest .venv-lowest .venv-bench build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
