# Everything a fresh machine needs is Python 3.11+ and make. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Setuptools warns of every editable installation, at length; there is nothing to do about it.
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEV_STAMP := $(VENV)/.installed-dev

VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' gateway/__init__.py)
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

.DEFAULT_GOAL := help
.PHONY: help run test unit lint types contracts check bench bench-peers simulate memory-race agentdojo conformance fuzz test-otlp schemas screenshots clean
.PHONY: stores lock dist sbom image test-dist test-image test-pythons

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: $(STAMP) ## install, start the gateway in front of demo tools, show it working, stay up
	$(BIN)/toolgate demo

test: $(DEV_STAMP) ## install and run all tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

unit: $(DEV_STAMP) ## the fast tests only (no processes, no sockets)
	$(BIN)/python -m pytest --ignore tests/e2e --ignore tests/demo --ignore tests/fuzz

lint: $(DEV_STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check gateway tests benchmarks

types: $(DEV_STAMP) ## mypy --strict
	$(BIN)/mypy

contracts: $(DEV_STAMP) ## who may import whom
	$(BIN)/lint-imports

check: lint types contracts test ## all that CI runs

bench: $(DEV_STAMP) ## side by side with nginx, HAProxy, Envoy, aiohttp (see docs/performance.md)
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(DEV_STAMP) ## side by side with LiteLLM, mitmproxy, Portkey, ContextForge
	$(BIN)/python -m benchmarks.peers $(ARGS)

simulate: $(DEV_STAMP) ## storms, outages, greedy agents, loops, money: with governors and without (see docs/governance.md)
	$(BIN)/python -m benchmarks.simulate $(ARGS)

memory-race: $(DEV_STAMP) ## agents that share a memory: what is lost undeclared and declared, and what that costs (see docs/memory.md)
	$(BIN)/python -m benchmarks.coherence $(ARGS)

agentdojo: $(STAMP) .venv-agentdojo/.installed ## hijacked agents behind the gateway, by AgentDojo's tasks (300 MB; see docs/agentdojo.md)
	.venv-agentdojo/bin/python -m benchmarks.agentdojo --toolgate $(BIN)/toolgate $(ARGS)

.venv-agentdojo/.installed: benchmarks/agentdojo/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv .venv-agentdojo
	PYTHONWARNINGS=ignore .venv-agentdojo/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/agentdojo/requirements.txt
	@touch $@

conformance: $(DEV_STAMP) ## the official MCP suite and SDKs, directly and through the gateway (see docs/conformance.md)
	$(BIN)/python -m tests.conformance $(ARGS)

stores: $(DEV_STAMP) ## memory and storage servers of others, for tests that are skipped without them (300 MB; see docs/memory-recipes.md)
	$(BIN)/python tests/servers/install.py

fuzz: $(DEV_STAMP) ## a longer look for input that breaks the wire
	TOOLGATE_FUZZ_EXAMPLES=20000 $(BIN)/python -m pytest tests/fuzz

test-otlp: $(DEV_STAMP) .venv-phoenix/.installed ## spans of real calls in a collector of somebody else's, Arize Phoenix (650 MB; see docs/otel.md)
	$(BIN)/python -m pytest tests/phoenix/check_phoenix.py

.venv-phoenix/.installed: | $(BIN)/python
	$(PYTHON) -m venv .venv-phoenix
	PYTHONWARNINGS=ignore .venv-phoenix/bin/python -m pip install --quiet --disable-pip-version-check 'arize-phoenix>=20'
	@touch $@

schemas: $(DEV_STAMP) ## write docs/schema/*.json from the models, and the chart's from those
	$(BIN)/toolgate schema config > docs/schema/config.schema.json
	$(BIN)/toolgate schema policy > docs/schema/policy.schema.json
	$(BIN)/toolgate schema test > docs/schema/test.schema.json
	$(BIN)/python helm/generate.py

screenshots: $(DEV_STAMP) ## write docs/img/console-*.png: a real gateway, a bad night, a real browser
	$(BIN)/python -m tests.console.screenshots

include deploy/release/release.mk
include helm/helm.mk

clean: ## remove what the other targets made
	rm -rf $(VENV) .venv-* .tools build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis benchmarks/out

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Toolgate needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -c constraints.txt -e .
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@ $(STAMP)
