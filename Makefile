PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: demo readers browser browser-files test part test-full check format install lock wheel clean
.DEFAULT_GOAL := help

help: ## what can be made here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

install: $(READY) ## .venv with babelpress and everything it needs, at the versions of requirements.lock

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "babelpress needs Python 3.10 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(READY) ## press the bundled teacher: student, scores, picture, card (offline, a few minutes)
	$(BIN)/babelpress run demo

readers: $(READY) ## environments of the other programs that tests/readers tries
	$(BIN)/python tools/readers.py

browser: $(READY) ## search across languages in a web page, with the demo's student (npm fetches its JavaScript)
	$(BIN)/python -m examples.browser

browser-files: $(READY) ## that page's JavaScript alone, for its tests
	$(BIN)/python -m examples.browser --files

test: $(READY) ## the whole test suite, offline
	$(BIN)/python -m pytest -n 2 -m "not full"

part: $(READY) ## lint, and the quick tests of one part: make part PART=corpus
	$(BIN)/ruff check src tests
	$(BIN)/python -m pytest -n 2 -m "not full and not slow" tests/$(PART)

test-full: $(READY) ## the same, exhaustive
	$(BIN)/python -m pytest -n 2

check: $(READY) ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## renew requirements.lock (python3.10 and python3.11 must be there)
	$(PYTHON) tools/lock.py python3.10 python3.11

wheel: $(READY) ## dist/*.whl
	$(BIN)/python -m build --wheel --outdir dist .

clean: ## remove what was built (runs/ stays)
	rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
