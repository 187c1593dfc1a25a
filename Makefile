# make demo    a virtual environment from nothing, then the whole flow on invented tenders, in a minute and a half
# make test    the same environment, then format, lint, types and tests

PYTHON ?= python3.11
DEVICE ?= cpu
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed-$(DEVICE)
OTHER_FBGEMM := $(if $(filter cuda,$(DEVICE)),fbgemm-gpu-cpu,fbgemm-gpu)
REQUIREMENTS := requirements/runtime.txt requirements/dev.txt requirements/torchrec-$(DEVICE).txt
# Folder of local wheels that pip is told of on this machine, if any: the image's build reads it too.
WHEELS ?= $(firstword $(or $(PIP_FIND_LINKS),$(shell $(BIN)/pip config get global.find-links 2>/dev/null)))
REVISION := $(shell git rev-parse HEAD 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: setup demo test coverage lint lock image

setup: $(STAMP)

# The order matters: torch, which has no hash, after all that it needs, which has; then what is installed without its needs.
$(STAMP): pyproject.toml $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
		{ echo "error: $(PYTHON) is not Python 3.11 with venv: install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@rm -f $(VENV)/installed-*
	@echo "installing the pinned stack into $(VENV), some five minutes at first: some 120 packages"
	@# Both builds of fbgemm install the same folder: where the other one was, the files left of ours are not to be trusted.
	@if $(BIN)/pip show -q $(OTHER_FBGEMM) 2>/dev/null; then $(BIN)/pip uninstall -q -y fbgemm-gpu fbgemm-gpu-cpu; fi
	@$(BIN)/pip install -q $(foreach file,$(filter-out requirements/torchrec-%,$(REQUIREMENTS)),-r $(file))
	@echo "  and torch, the largest"
	@$(BIN)/pip install -q 'torch==2.13.*'
	@$(BIN)/pip install -q --no-deps -r requirements/torchrec-$(DEVICE).txt
	@$(BIN)/pip install -q --no-deps -e .
	@# torchrec asks for fbgemm-gpu, whose CPU build has another name; any other complaint is a broken set-up.
	@problems=$$($(BIN)/pip check | grep -v -x -e 'torchrec [0-9.]* requires fbgemm-gpu, which is not installed\.' -e 'No broken requirements found\.'); \
		test -z "$$problems" || { echo "error: the packages do not fit each other: $$problems" >&2; exit 1; }
	@touch $@
	@echo "installed: $(BIN)/bidrec"

demo: setup
	@$(BIN)/bidrec demo

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# A worker a core, four at most, each with the tests of a file at a time: what they start computes on one thread.
test: lint
	OMP_NUM_THREADS=1 TESTCONTAINERS_RYUK_DISABLED=true $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder $(TRACED)

# The lines that no test reaches. They are only listed, and to trace takes a test of Python up to two fifths longer.
coverage: TRACED = --cov --cov-report=term:skip-covered
coverage: test

# Resolves the versions anew, within the bounds of requirements/*.in, each with the hashes of its files: pip installs none
# that has another one. torch alone has none: its wheel (CPU or CUDA, of this machine or of an index) is the machine's choice.
lock: setup
	$(BIN)/pip install -q uv
	cd requirements && for set in *.in; do \
		case $$set in torchrec-*) alone=--no-deps ;; *) alone= ;; esac; \
		../$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-strip-extras $$alone --python-version 3.11 --no-annotate --no-header \
			$$set -o $${set%.in}.txt || exit 1; done

image:
	docker build -t bidrec $(if $(wildcard $(WHEELS)),--build-context wheels=$(WHEELS)) --build-arg REVISION=$(REVISION) .
