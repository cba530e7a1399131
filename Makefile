# make demo    set up, train six small models, compare their runs
# make test    set up, run every gate: notebooks clean and in sync, lint, types, the notebooks' cells, tests/
# make docs    set up, build the docs site into _docs/
# make bench   set up, install the peers into .venv-bench, measure beside them: make bench ARGS=--quick
# make lock    pin requirements/*.in anew
# make ui      bundle the dashboards' front end, js/, into mlkit/static/
# make sync    clean the notebooks, export them to mlkit/, write README.md
# make clean   remove what the other commands made
#
# A Python >= 3.10, pip and make are all that has to be there: make demo PYTHON=python3.12

PYTHON ?= python3
VENV   := .venv
PEERS  := .venv-bench
BIN    := $(CURDIR)/$(VENV)/bin
STAMP  := $(VENV)/.installed
WORKERS ?= 2
export PATH := $(BIN):$(PATH)

# The workers share the cores; threads of torch would fight over them.
cells tests: export OMP_NUM_THREADS = 1

.PHONY: help demo test docs bench lock sync ui clean setup check-sync lint types cells tests
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '1,10p'

setup: $(STAMP) mlkit/static/page.js

# A Python without ensurepip (Debian's, without python3-venv) still makes an environment, which its pip fills from outside.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "mlkit needs Python >= 3.10, but $(PYTHON) is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(VENV) install -q pip; }

$(STAMP): $(wildcard requirements/*.txt) settings.ini setup.py pyproject.toml | $(VENV)/bin/python
	@echo 'Installing the locked dependencies into $(VENV) (minutes the first time)'
	@$(BIN)/python -m pip install -q --disable-pip-version-check \
		-r requirements/dev$$($(BIN)/python -c 'import sys; print("" if sys.version_info >= (3, 11) else "-py310")').txt
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The bundle is newer than its sources or it is made anew; Node comes with the locked dependencies, uPlot and the tools that bundle it from npm.
# Where npm's registry can't be reached all but the dashboards work, so that is said and nothing fails.
mlkit/static/page.js: $(wildcard js/src/*) js/package-lock.json js/build.py | $(STAMP)
	@$(BIN)/python js/build.py || echo 'Going on without the dashboards; make ui tries again.'

ui: setup
	@$(BIN)/python js/build.py --force

demo: setup
	@$(BIN)/mlkit demo

test: check-sync lint types cells tests

check-sync: setup
	@echo '== notebooks clean, package and README in sync'
	@$(BIN)/python tools/sync.py --check

lint: check-sync
	@echo '== lint'
	@$(BIN)/ruff check -q --output-format concise .
	@$(BIN)/chkstyle nbs

types: check-sync
	@echo '== types'
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then $(BIN)/pyright mlkit; \
	else echo 'not checked: they are those of the libraries that are locked for Python >= 3.11'; fi

cells: check-sync
	@echo '== the cells of the notebooks'
	@$(BIN)/python tools/cells.py --workers $(WORKERS)

tests: check-sync
	@echo '== tests/'
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup --durations 12 tests

sync: setup
	@$(BIN)/python tools/sync.py

docs: setup
	@$(BIN)/python tools/docs.py

# The peers bring hundreds of packages: they get an environment of their own.
$(PEERS)/.installed: benchmarks/requirements.txt settings.ini setup.py | $(STAMP)
	@echo 'Installing the peers into $(PEERS)'
	@$(BIN)/python -m venv --without-pip $(PEERS)
	@$(BIN)/python -m pip --python $(PEERS) install -q --disable-pip-version-check -r benchmarks/requirements.txt
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip --python $(PEERS) install -q --disable-pip-version-check -e .
	@touch $@

bench: $(PEERS)/.installed
	@$(PEERS)/bin/python -m benchmarks $(ARGS)

lock: setup
	@$(BIN)/python tools/lock.py

clean:
	rm -rf $(VENV) $(PEERS) mlkit/static js/node_modules _docs _proc build dist demo-output *.egg-info .pytest_cache .ruff_cache .hypothesis .quarto
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
