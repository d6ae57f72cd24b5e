# make run    set everything up, build the page, serve both engines on the starter weights
# make test   set everything up (browser included where it can), lint, type-check, test
# make test-ray   the tests on a local Ray cluster, alone on the machine
# make demo   three turns of a sample caller on either engine, without a browser
# make lock   resolve the pins of requirements.lock anew

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
PORT ?= 7860
# The page offers what is served. A server that is told nothing serves its default engine alone.
BOTH := --set 'engines=["cascade", "s2s"]'

# uv does not read pip's configuration. Where pip was given a folder of wheels, uv gets it too;
# elsewhere uv picks the torch build that fits the machine's driver (CPU when there is none).
FIND_LINKS := $(PIP_FIND_LINKS)
ifneq ($(strip $(FIND_LINKS)),)
export UV_FIND_LINKS ?= $(FIND_LINKS)
else
export UV_TORCH_BACKEND ?= auto
endif

.PHONY: run test test-ray demo setup page browser lint lock clean

run: setup page
	$(BIN)/maata serve --port $(PORT) $(BOTH)

test: setup page browser lint
	cd web && npm test --silent
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not ray"

# A Ray cluster beside everything else does not start in time on two cores, and none may run beside it.
test-ray: setup
	$(BIN)/python -m pytest -m ray

demo: setup page
	$(BIN)/python -m benchmarks.demo $(BOTH)

setup: $(VENV)/.installed
page: pipelines/page/index.html

$(BIN)/uv:
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/uv
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet -r requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	@touch $@

# Not `npm ci`: npm 11 takes a lock without download addresses for incomplete as soon as it holds
# optional packages of other platforms. `npm install --no-save` keeps to the same lock, and keeps it.
web/node_modules/.installed: web/package.json web/package-lock.json
	cd web && npm install --no-save --silent --no-audit --no-fund
	@touch $@

PAGE_SOURCES := $(shell find web/src web/public web/index.html web/vite.config.ts web/tsconfig.json -type f 2>/dev/null)
pipelines/page/index.html: web/node_modules/.installed $(PAGE_SOURCES)
	cd web && npm run build --silent
	@touch $@

# The page tests drive a real browser. Root on a Debian-like system gets one; elsewhere the tests
# say loudly that they were skipped.
browser:
	@if command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	else echo "NO CHROMIUM: the page tests will be skipped; install chromium to run them" >&2; fi

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# torch's local build tag (+cpu) is a property of this machine, not of the pin.
lock: | $(BIN)/uv
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip compile --quiet pyproject.toml --all-extras --upgrade \
		--no-emit-index-url --no-emit-find-links --python-version 3.11 -o requirements.lock
	sed -i -E 's/^(torch==[0-9.]+)\+cpu/\1/' requirements.lock

clean:
	rm -rf $(VENV) web/node_modules pipelines/page
