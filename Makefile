# Three commands: make install, make test, make demo. Each needs nothing but python3 (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install test docs notebooks browser lint demo lock clean

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --requirement requirements.lock
	$(BIN)/python -m compileall -q -j 0 $(BIN)/../lib > /dev/null || true  # on all cores, where pip takes one
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# What the demo needs and no more; `make test` installs the rest.
$(BIN)/isthmus: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[evaluate]'
	touch $@

demo: $(BIN)/isthmus
	$(BIN)/isthmus reproduce --quick --out demo --overwrite

test: install lint browser
	$(BIN)/pytest --numprocesses 2

# Every page, with the notebooks' committed outputs; the first warning is an error. tests/test_site.py does the same.
docs: install
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --builder html docs docs/_build

# Executes the notebooks anew, which takes minutes, and keeps their outputs in the files.
notebooks: install
	$(BIN)/python docs/run_notebooks.py

# The page is tested in Debian's Chromium; where there is none and none can be installed, those tests are skipped.
browser:
	command -v chromium > /dev/null || (apt-get update -qq && apt-get install -qq --no-install-recommends chromium) > /dev/null || true

lint: install
	$(BIN)/ruff check src tests benchmarks training docs
	$(BIN)/ruff format --check src tests benchmarks training docs
	$(BIN)/mypy
	$(BIN)/lint-imports

# Writes the lock file anew, from the ranges in pyproject.toml, in an environment of its own.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet torch==2.13.0 hatchling --editable '.[dev]'
	.venv-lock/bin/pip freeze --exclude-editable | sed 's/+cpu//' > requirements.lock
	rm -r .venv-lock

clean:
	rm -rf .venv .venv-lock demo docs/_build
