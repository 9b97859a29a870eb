# Each target does its own set-up; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup build demo test bench bench-agents lint tidy format sanitize fuzz crash soak clean

PROMPT ?= What is the capital of France? Answer in one sentence.
export PROMPT

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install missing Debian packages
	@tools/setup

build: setup ## build/bin/pie, build/venv, build/inferlets, build/share
	@tools/build

demo: setup ## run text-completion on a fresh server: make demo PROMPT="..."
	@tools/build --demo
	@build/venv/bin/python tools/demo.py

test: setup ## build and run every test; ends with "N passed, N failed"
	@tools/build --tests
	@build/venv/bin/python tools/run_tests.py $(ARGS)

sanitize: setup ## the sanitizer presets alone
	@tools/build --tests
	@build/venv/bin/python tools/run_tests.py --only sanitizers

fuzz: setup ## every decoder under libFuzzer, ten minutes each: ARGS="--time SECONDS --only NAME"
	@tools/build --tests
	@build/venv/bin/python tools/run_tests.py --build-only fuzz
	@build/venv/bin/python tests/fuzz/run.py $(ARGS)

crash: setup ## kill -9 at 200 random moments under load: ARGS="--kills N --seed S"
	@tools/build --tests
	@build/venv/bin/python -m tests.reliability.crash $(ARGS)

soak: setup ## 1,000 connections for ten minutes, 20,000 random steps, every attack and hostile call in its long form, an answer under each schema; a million steps of the cache
	@tools/build --tests
	@PIE_TEST_STEPS=1000000 build/cmake/release/tests/sched_test --gtest_filter='CacheSimulation.*'
	@build/venv/bin/python -m tests.reliability.soak $(ARGS)
	@build/venv/bin/python -m tests.reliability.state_machine
	@build/venv/bin/python -m tests.reliability.attackers
	@build/venv/bin/python -m tests.reliability.client_messages
	@build/venv/bin/python -m tests.reliability.fault_injection
	@build/venv/bin/python -m tests.reliability.environments
	@build/venv/bin/python -m tests.reliability.hostile_calls
	@build/venv/bin/python -m tests.reliability.structured_output

bench: setup ## beside llama.cpp in the same run; writes build/bench.json
	@tools/build --tests
	@build/venv/bin/python bench/run.py $(ARGS)

bench-agents: setup ## agents as programs, beside an asyncio client of llama-server; MODEL=file.gguf, ARGS="--quick --only react"
	@tools/build --tests
	@build/venv/bin/python bench/run_agents.py $(if $(MODEL),--model "$(MODEL)") $(ARGS)

lint: setup ## formatting, ruff, mypy, and what tools/lint checks
	@tools/build --tests
	@build/venv/bin/python tools/run_tests.py --only lint

format: ## clang-format on every C++ file
	@git ls-files -co --exclude-standard '*.h' '*.cc' '*.cpp' | xargs clang-format-22 -i

clean: ## remove build/ (the download cache stays)
	@rm -rf build

tidy: setup ## clang-tidy over what changed (minutes the first time); TIDY="src/base/*.cc" for some
	@tools/build --tests
	@python3 -m tools.lint.tidy $(TIDY)
