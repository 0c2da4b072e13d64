# The commands of this project. Nothing is installed twice: the stamps below are newer than what they stand for.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 5000
# Processes that serve the demo.
WORKERS ?= 1
PYTEST_ARGS ?=
# Processes that share the tests, each module staying in one of them. 0 runs them all in one.
JOBS ?= 3
# Seconds for all fuzzers together, and minutes of churn.
FUZZ_SECONDS ?= 120
FUZZ_ARGS ?=
SOAK_MINUTES ?= 10
SOAK_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# What the benchmarks run on: the newest optimized Python that is here, or BENCH_PYTHON, without the test tools.
BENCH_PYTHON ?=
BENCH_VENV := benchmarks/.venv
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
INSTALL := $(BIN)/python $(PIP_INSTALL)
# Folders whose npm packages the tests use.
NPM_DIRS := $(patsubst %/package.json,%,$(wildcard tests/js/package.json tests/browser/package.json tests/typed/package.json))

# Programs that others wrote, each with its current release in a virtualenv of its own.
PROGRAMS := $(patsubst %/requirements.txt,%,$(wildcard programs/*/requirements.txt))

.DEFAULT_GOAL := help
.PHONY: help demo docs test test-twice test-matrix test-programs test-launchers test-operations test-observing release-check recovery fuzz soak lint format bench bench-venv bench-quick parts npm clean

help:
	@echo "make demo     a chat page on http://$(HOST):$(PORT) (PORT=... for another port, WORKERS=4 for four cores)"
	@echo "make docs     the manual as HTML, in docs/_build"
	@echo "make test     all tests (PYTEST_ARGS='-k name' for some of them)"
	@echo "make test-matrix   the core tests with each Python that is here, and with the oldest libraries"
	@echo "make test-programs   programs that others wrote for python-socketio, on asyncsock (downloads them)"
	@echo "make test-launchers   every client at four workers of every launcher (half an hour)"
	@echo "make test-operations   three processes on each message queue, one of them killed (three minutes)"
	@echo "make test-observing    the metrics of four workers under the load of 500 clients, too (one minute)"
	@echo "make release-check   the sdist and the wheel, each installed alone with each Python that is here"
	@echo "make recovery   clients that lose their connections 200 times each, at each queue (half an hour)"
	@echo "make fuzz     random and mutated packets, frames and requests (FUZZ_SECONDS=120, FUZZ_ARGS='--seed 1')"
	@echo "make soak     clients that come and go, many of them hostile; nothing may be left (SOAK_MINUTES=10)"
	@echo "make lint     ruff format --check, ruff check, mypy"
	@echo "make format   ruff format, and the fixes of ruff check"
	@echo "make bench    this server and its peers, compared (half an hour); make bench-quick in two minutes"
	@echo "make clean    remove the virtualenv, the npm packages and the caches"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "Installing asyncsock into $(VENV)"
	$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing asyncsock and its test tools into $(VENV)"
	$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/installed $(VENV)/installed-docs $@

$(VENV)/installed-docs: pyproject.toml | $(BIN)/python
	@echo "Installing asyncsock and Sphinx into $(VENV)"
	$(INSTALL) --editable '.[docs]'
	@touch $(VENV)/installed $@

# The page's JavaScript client: the tests' copy or, where there is npm, one of its own. Without either, the page gets
# it from the CDN, and says so if it cannot.
CLIENT := node_modules/socket.io-client/dist/socket.io.min.js
demo: $(VENV)/installed
	@[ -e tests/js/$(CLIENT) ] || [ -e $(VENV)/client/$(CLIENT) ] || ! command -v npm >/dev/null 2>&1 || \
		npm install --prefix $(VENV)/client --ignore-scripts --no-audit --no-fund --loglevel=error socket.io-client@4 || \
		echo "npm could not install the JavaScript client: the page gets it from cdn.socket.io"
	@echo "asyncsock chat: http://$(HOST):$(PORT)   (Ctrl-C ends it)"
	@rm -f $(VENV)/chat-$(PORT)*
	@[ ! -e $(VENV)/client/$(CLIENT) ] || export SOCKET_IO_CLIENT="$${SOCKET_IO_CLIENT:-$(VENV)/client/$(CLIENT)}"; \
		CHAT_FILE=$(VENV)/chat-$(PORT) exec $(BIN)/python -m uvicorn --app-dir examples/chat app:asgi \
		--host $(HOST) --port $(PORT) --workers $(WORKERS)

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -b html -E -a -W --keep-going -n -q docs docs/_build
	@echo "Open docs/_build/index.html"

# Programs that tests use, where they are missing and this user may install them: Chromium, Node, npm, the message
# brokers, nginx, promtool and what the system's Python needs for virtualenvs. Without one, the tests that need it are skipped by name; with CI set they fail instead.
# The packages bring system services: nothing starts them while policy-rc.d says 101 (containers often have one).
parts:
	@PATH="$$PATH:/usr/sbin"; missing=; \
	need() { command -v "$$1" >/dev/null 2>&1 || missing="$$missing $$2"; }; \
	need chromium chromium; need node nodejs; need npm npm; need nginx nginx; \
	need promtool prometheus; need redis-server redis-server; need rabbitmq-server rabbitmq-server; need nats-server nats-server; \
	[ ! -x /usr/bin/python3 ] || /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	[ -n "$$missing" ] || exit 0; \
	if ! command -v apt-get >/dev/null 2>&1; then echo "Not installed (no apt-get here):$$missing"; exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then as_root=; \
	elif sudo -n true 2>/dev/null; then as_root="sudo -n"; \
	else echo "Not installed (needs root):$$missing"; exit 0; fi; \
	echo "Installing with apt-get:$$missing"; \
	log=$$(mktemp); policy=/usr/sbin/policy-rc.d; added=; \
	trap 'rm -f "$$log"; [ -z "$$added" ] || $$as_root rm -f "$$policy"' EXIT; \
	if [ ! -e $$policy ]; then \
		added=yes; printf '#!/bin/sh\nexit 101\n' | $$as_root tee $$policy >/dev/null; $$as_root chmod +x $$policy; \
	fi; \
	{ $$as_root apt-get update -qq && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	} >"$$log" 2>&1 || { tail -n 30 "$$log"; echo "apt-get could not install:$$missing"; }

npm: parts
	@command -v npm >/dev/null 2>&1 || { echo "npm is missing: the tests with JavaScript clients cannot run"; exit 0; }; \
	for folder in $(NPM_DIRS); do \
		stamp=$$folder/node_modules/.installed; \
		if [ $$stamp -nt $$folder/package.json ] && ! [ $$folder/package-lock.json -nt $$stamp ]; then continue; fi; \
		echo "Installing the npm packages of $$folder"; \
		if [ -f $$folder/package-lock.json ]; then command=ci; else command=install; fi; \
		( cd $$folder && npm $$command --ignore-scripts --no-audit --no-fund --loglevel=error ) || exit 1; \
		touch $$stamp; \
	done

test: $(VENV)/installed-dev npm
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# All tests, and those that failed (pytest's status 1) once more when nothing else runs: what fails then is broken,
# what passes then is flaky, a bug of its own, and named above.
test-twice: $(VENV)/installed-dev npm
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS); status=$$?; \
	[ $$status = 1 ] || exit $$status; \
	echo "== once more, alone: what failed"; \
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none

# MATRIX="3.12-newest" for some of its combinations, MATRIX=--ends for two of them, MATRIX=--list for their names.
test-matrix:
	$(PYTHON) scripts/test_matrix.py $(MATRIX)

# `make clean` forgets their releases, so that the next run installs the current ones.
programs/%/.venv/installed: programs/%/requirements.txt pyproject.toml
	@echo "Installing the current release of $*"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python $(PIP_INSTALL) --editable . --requirement $<
	@touch $@

test-programs: $(VENV)/installed-dev npm $(addsuffix /.venv/installed,$(PROGRAMS))
	$(BIN)/python -m pytest programs $(PYTEST_ARGS)

test-launchers: $(VENV)/installed-dev npm
	WHOLE_TABLE=1 $(BIN)/python -m pytest tests/workers/test_launchers.py tests/workers/test_deaths.py \
		tests/workers/test_restarts.py $(PYTEST_ARGS)

test-operations: $(VENV)/installed-dev npm
	WHOLE_TABLE=1 $(BIN)/python -m pytest tests/queues/test_operations_everywhere.py $(PYTEST_ARGS)

test-observing: $(VENV)/installed-dev npm
	WHOLE_TABLE=1 $(BIN)/python -m pytest tests/observing $(PYTEST_ARGS)

recovery: $(VENV)/installed-dev npm
	RECOVERY=1 $(BIN)/python -m pytest tests/recovery $(PYTEST_ARGS)

# RELEASE_PYTHONS="3.11 3.13" for some of them.
release-check: $(VENV)/installed-dev
	$(BIN)/python scripts/release_check.py $(RELEASE_PYTHONS)

fuzz: $(VENV)/installed-dev
	$(BIN)/python -m fuzz.run $(FUZZ_SECONDS) $(FUZZ_ARGS)

soak: $(VENV)/installed-dev
	$(BIN)/python -m soak.run $(SOAK_MINUTES) $(SOAK_ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

format: $(VENV)/installed-dev
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

# The stamp says for which Python: another choice installs all anew.
bench-venv: parts
	@python=$(BENCH_PYTHON); [ -n "$$python" ] || python=$$($(PYTHON) scripts/pythons.py); \
	version=$$($$python -c 'import sys; print(sys.version)') || exit 1; \
	stamp=$(BENCH_VENV)/installed; \
	if [ "$$(cat $$stamp 2>/dev/null)" = "$$version" ] && [ $$stamp -nt pyproject.toml ]; then exit 0; fi; \
	echo "Installing asyncsock into $(BENCH_VENV) with $$python"; \
	$$python -m venv --clear $(BENCH_VENV) && \
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) --editable '.[redis,metrics]' && \
	echo "$$version" > $$stamp

# BENCH_ARGS="--only ack --servers asyncsock node" for some of it, BENCH_ARGS=--help for the names.
bench: bench-venv
	$(BENCH_VENV)/bin/python benchmarks/run.py $(BENCH_ARGS)

bench-quick: bench-venv
	$(BENCH_VENV)/bin/python benchmarks/run.py --quick $(BENCH_ARGS)

clean:
	rm -rf $(VENV) $(BENCH_VENV) .venv-matrix $(addsuffix /.venv,$(PROGRAMS)) .pytest_cache .mypy_cache .ruff_cache .hypothesis artifacts tests/js/node_modules tests/browser/node_modules tests/typed/node_modules \
		docs/_build benchmarks/.peers benchmarks/apps/node_modules benchmarks/results/raw
