# The main commands are `make repro` and `make test`. Both set up .venv if it is missing.
# `make PYTHON=python3.12 …` chooses its Python.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
# DVC runs stages with the first `python` in PATH.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_ALBUMENTATIONS_UPDATE := 1

READY := $(VENV)/.installed-from-lock

.PHONY: help check setup repro test test-slow soak lint bench bench-gpu ablate seeds folds sweep recipe compare watch demo lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Fail before gigabytes are installed. GitHub's "Download ZIP" has no git repository.
check:
	@git rev-parse --git-dir > /dev/null || { echo "error: DVC needs a git repository here:" \
	  "clone the project, or git init && git add . && git commit -m 'as downloaded'"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	@test -e $(READY) || test $$(df -Pk . | awk 'NR == 2 { print $$4 }') -gt 8000000 || { \
	  echo "error: .venv needs 8 GB of free disk space"; exit 1; }

setup: check $(READY) ## make .venv and install everything from requirements.lock (once)

$(READY): requirements.lock | check
	@echo "installing requirements.lock into $(VENV): 6.6 GB, two to four minutes on a fast network"
	@$(PYTHON) -m venv $(VENV)
	@set -o pipefail; $(VENV)/bin/pip install --require-hashes -r requirements.lock | while read -r word name _; do \
	  case $$word in Collecting) printf '\r\033[K%d packages found: %s' $$((++n)) "$$name";; \
	  Installing) printf '\r\033[Kunpacking %d packages\n' $$n;; esac; done
	@touch $@

repro: setup ## [TASK=speech]: run the pipeline, on sample data unless params.yaml says otherwise
	@python -m stages.repro $(TASK)

test: setup lint ## lint, types and the tests except slow ones
	python -m pytest -n auto --dist loadscope -m "not slow"

test-slow: setup ## the slow tests: pipelines, the commands of the documents, several processes, browsers
	python -m pytest -n auto --dist loadscope -m slow

soak: setup ## an hour of faults, kills and hostile input: docs/RELIABILITY.md
	python -m pytest tests/soak
	python -m tests.soak.kills
	python -m tests.soak.repeat
	python -m tests.soak.ranks
	python -m tests.soak.fuzz --minutes $(or $(MINUTES),3)

lint: setup ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

bench: setup ## measure each claim about speed against its baseline; writes docs/PERFORMANCE.md
	python -m benchmarks

bench-gpu: setup ## measure training speed on one GPU, in ten minutes; writes benchmarks/results/speed/<device>.json
	python -m benchmarks.gpu

ablate: setup ## RUN=pblstm [GRID=beam] [SEEDS="1 2 3"] [JOBS=1]: compare the values of ablations.yaml; writes a table to metrics/
	@python -m stages.ablate "$(RUN)" $(if $(GRID),--grid "$(GRID)") $(if $(SEEDS),--seeds $(SEEDS)) --jobs $(or $(JOBS),1)

seeds: setup ## RUN=pblstm [SEEDS="1 2 3"] [JOBS=1]: measure how much a run's scores depend on the seed; writes a table to metrics/
	@python -m stages.seeds "$(RUN)" $(if $(SEEDS),--seeds $(SEEDS)) --jobs $(or $(JOBS),1)

folds: setup ## RUN=custom_resnet [N=5] [JOBS=1]: cross-validation for data without a dev split; writes scores and a submission
	@python -m stages.folds "$(RUN)" --of $(or $(N),5) --jobs $(or $(JOBS),1)

sweep: setup $(VENV)/.sweep-installed-from-lock ## RUN=pblstm [TRIALS=30] [JOBS=1]: search the run's space in sweeps.yaml, stopping bad trials early
	@python -m stages.sweep "$(RUN)" --trials $(or $(TRIALS),30) --jobs $(or $(JOBS),1)

recipe: setup ## NAME=an4-pblstm SOURCE=an4.zip [SEED=1]: repeat a training on real data from recipes/
	@python -m stages.recipe "$(NAME)" $(SOURCE) $(if $(SEED),--seed $(SEED))

compare: setup ## compare DVC's experiments in data/experiments/index.html
	@python -m stages.compare

watch: setup ## [PORT=8000]: show the report in a browser, with live curves of a running training
	@python -m stages.watch --port $(or $(PORT),8000)

demo: setup $(VENV)/.demo-installed-from-lock ## [PORT=7860]: serve a local web page to try the trained networks
	python -m stages.demo $(if $(PORT),--port $(PORT))

# --no-deps: the lock has everything that requirements.lock lacks, and installed versions must not change.
$(VENV)/.%-installed-from-lock: requirements-%.lock | setup
	@echo "installing requirements-$*.lock into $(VENV), once: under a minute on a fast network"
	$(VENV)/bin/pip install --quiet --require-hashes --no-deps -r requirements-$*.lock
	@touch $@

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock'
# Locks of other extras leave out the packages of requirements.lock, and keep their versions. Gradio 6.31 asks for older ones,
# pillow < 13 and tomlkit < 0.15: `pip check` complains, but tests/test_demo.py passes.
lock: setup ## update requirements.lock and the locks of the extras from pyproject.toml
	$(VENV)/bin/pip install --quiet uv
	printf '%s\n' torch==2.14.1 torchvision==0.29.1 | \
	  $(COMPILE) --extra dev --extra export --constraint - --output-file requirements.lock pyproject.toml
	for extra in demo sweep s3 gs ssh; do printf '%s\n' pillow tomlkit | \
	  $(COMPILE) --extra $$extra --constraint requirements.lock --override - --output-file requirements-$$extra.lock pyproject.toml \
	  $$(sed -nE 's/^([a-z0-9._-]+).*==.*/--no-emit-package \1/p' requirements.lock) || exit; done

clean: ## remove the caches of tools and the saved states of trainings
	rm -rf .resume .pytest_cache .mypy_cache .ruff_cache .hypothesis
