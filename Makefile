# The front door. `make` lists what there is.
SHELL := /bin/sh
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# A node is five processes, and tests start hundreds: without kept bytecode each compiles a thousand modules for itself.
unexport PYTHONDONTWRITEBYTECODE

# One tier of tests: its name, then what pytest takes.
tier = PYTHONPATH=tests $(PY) -m support.tier

.DEFAULT_GOAL := help
.PHONY: help install dev demo run lint format test test-unit test-functional test-e2e test-conformance test-long whisper-venv bench soak bench-voice bench-api bench-sip bench-media lock clean
.PHONY: conformance conformance-mutations bench-config test-fast

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

install: ## the Python environment for running SIVO
	@scripts/venv run

dev: ## the Python environment for working on SIVO
	@scripts/venv dev

demo: ## a whole contact centre with an AI agent, and a call to it (ONCE=1: stop after the call)
	@started=$$(date +%s.%N); scripts/venv run && SIVO_DEMO_STARTED=$$started ONCE=$(ONCE) $(PY) -m sivo.demo.run

run: install ## the node, in the foreground (data below ./var, or SIVO_HOME)
	@$(PY) -m sivo.cli.main run

lint: dev ## style and types
	@ruff check src tests bench && ruff format --check src tests bench && mypy

format: dev ## bring the code into shape
	@ruff check --fix src tests bench; ruff format src tests bench

test: conformance ## everything that CI runs (under 15 minutes on two cores)
	@# Real calls first, while the machine is fresh; then what computes, all at once.
	@$(tier) whole -n 2 --dist loadfile tests/e2e
	@$(MAKE) --no-print-directory -j 2 --output-sync=target lint test-fast

test-fast: dev ## unit and functional tests, as CI runs them
	@$(tier) fast -n 4 --dist loadfile tests/unit tests/functional

test-unit: dev ## pure tests, virtual time
	@$(PY) -m pytest -q tests/unit

test-functional: dev ## real PostgreSQL, real sockets
	@$(PY) -m pytest -q tests/functional

test-e2e: dev ## real phones against a running node
	@scripts/system-tools
	@$(PY) -m pytest -q tests/e2e

conformance: dev ## every configuration key changed and seen from outside: key, effect, observer, evidence
	@scripts/system-tools
	@$(tier) conformance -n 3 --dist worksteal tests/conformance

test-conformance: conformance

conformance-mutations: dev ## the same with consumers that read the shipped default: every key has to turn red
	@scripts/system-tools; mkdir -p build
	@SIVO_TEST_MUTATION_FILE=$(CURDIR)/build/mutated-key PYTHONPATH=$(CURDIR)/tests/support/mutation:$(CURDIR)/tests \
		$(PY) -m pytest -q -p mutation_run -o cache_dir=build/pytest-mutations tests/conformance

test-long: dev ## soak, kill matrix, twenty demos with a busy core
	@scripts/system-tools long; scripts/edge-tools
	@$(PY) -m pytest -q -s --timeout 3600 tests/long
	@SIVO_TEST_OVERLOAD_PAIRS=8 SIVO_TEST_OUTAGE_SECONDS=30 $(PY) -m pytest -q -s --timeout 900 \
		tests/functional/calls/test_calls_overload.py tests/functional/calls/test_calls_outage.py

soak: dev ## 20 calls at a time for 30 minutes (SOAK_MINUTES=5: five): memory, descriptors, ports and tasks stay as they are
	@SOAK_MINUTES=$${SOAK_MINUTES:-30} $(PY) -m pytest -q -s --timeout 14400 tests/long/test_long_soak.py

whisper-venv: dev ## SIVO with the extra whisper in build/, which the long tests of local Whisper use
	@scripts/whisper-venv

bench: dev ## measurements, printed with machine and method
	@$(PY) -m bench

bench-config: dev ## the configuration plane: reads, explanations, requests, changes
	@$(PY) -m bench.config_plane

bench-voice: dev ## voice to voice and calls per core beside pipecat and livekit-agents (about 15 minutes; QUICK=1: 2)
	@scripts/peers-venv
	@$(PY) -m bench.voice $(if $(QUICK),--quick,)

bench-api: dev ## what being signed in costs, and whether a login flood is felt by the others
	@$(PY) -m bench.api_load

bench-sip: dev ## call set-ups per second and core beside sippy's B2BUA and a Kamailio relay (about 5 minutes)
	@scripts/system-tools; scripts/edge-tools || echo "without Kamailio"; scripts/sippy-venv
	@$(PY) -W ignore -m bench.sip

bench-media: dev ## how late the media clock runs with 100 bridged calls and with 30 AI calls (about 3 minutes)
	@$(PY) -W ignore -m bench.media_load

lock: dev ## resolve the requirements again
	@uv pip compile -q --generate-hashes --no-emit-index-url --no-header --no-annotate --universal --python-version 3.11 --extra offline --group build pyproject.toml -o requirements.txt
	@uv pip compile -q --generate-hashes --no-emit-index-url --no-header --no-annotate --universal --python-version 3.11 -c requirements.txt --extra offline --group build --group dev pyproject.toml -o requirements-dev.txt
	@echo uv | uv pip compile -q --generate-hashes --no-emit-index-url --no-header --no-annotate --universal --python-version 3.11 - -o requirements-uv.txt

clean: ## remove what was built (not your data below ./var)
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
