# `make` needs Python 3.11 and nothing else; `make help` lists what there is.
# Only `make lint` and `make proto-baseline` need more: Node, for buf.

PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
NATIVE := $(VENV)/.native
INSTALLED := $(VENV)/.installed
FUZZER := $(VENV)/.fuzzer
BUF := .ci/node_modules/.bin/buf
BASELINE := proto/baseline.binpb
# Two more than there are cores: many tests wait for servers.
WORKERS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 2)))
# Tests, guides and the demo start hundreds of processes, each of which would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE
DATA ?=
ARGS ?=

.DEFAULT_GOAL := all
.PHONY: all help test test-all fuzz lint format protos proto-baseline bench bench-search bench-hostile bench-identity bench-scale demo lock clean

all: $(INSTALLED) $(NATIVE) ## Build .venv, holding the auditlog command

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 18

$(LOCKED): requirements.lock
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or later is needed; say where: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(INSTALLED): $(LOCKED) pyproject.toml client/python/pyproject.toml
	$(BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e client/python -e .
	@touch $@

# Optional: without it, or without a Rust toolchain, the same work is done in Python.
$(NATIVE): $(LOCKED) native/pyproject.toml native/Cargo.toml native/Cargo.lock native/auditd_native.pyi $(wildcard native/src/*.rs)
	@scripts/build_native $(BIN)
	@touch $@

test: $(INSTALLED) $(NATIVE) ## Run the tests, in under five minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not soak" $(ARGS)

test-all: $(INSTALLED) $(NATIVE) ## Run every test, the slow ones included; AUDITD_SOAK_SECONDS=3600 soaks a server for an hour
	$(BIN)/python -m pytest --hypothesis-profile thorough $(ARGS)

fuzz: $(INSTALLED) $(NATIVE) $(FUZZER) ## Fuzz every parser for a minute, guided by coverage; ARGS="filters --seconds 600"
	$(BIN)/python -m tests.guided_fuzzing $(ARGS)

$(FUZZER): requirements-fuzz.txt $(LOCKED)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-fuzz.txt
	@touch $@

lint: $(INSTALLED) $(BUF) ## Check style, types, imports, and the API against its baseline (needs Node)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v cargo >/dev/null; then set -ex; cd native; cargo fmt --check; cargo clippy --release --quiet -- -D warnings; fi
	$(BUF) lint proto
	$(BUF) breaking proto --against $(BASELINE)
	$(BIN)/python scripts/generate_protos.py --check

format: $(INSTALLED) ## Let ruff format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	@if command -v cargo >/dev/null; then cargo fmt --manifest-path native/Cargo.toml; fi

protos: $(INSTALLED) ## Generate auditd_proto from proto/
	$(BIN)/python scripts/generate_protos.py

proto-baseline: $(BUF) ## Make the API as it is now the one that may not break (needs Node)
	$(BUF) build proto -o $(BASELINE)

bench: $(INSTALLED) $(NATIVE) ## Run the benchmarks
	$(BIN)/python -m benchmarks $(ARGS)

bench-search: $(INSTALLED) $(NATIVE) ## Measure searches of one large log
	$(BIN)/python -m benchmarks.search $(ARGS)

bench-identity: $(INSTALLED) $(NATIVE) ## Measure what knowing callers and actors costs
	$(BIN)/python -m benchmarks.identity $(ARGS)

bench-scale: $(INSTALLED) $(NATIVE) ## Measure everything at 10 thousand to 10 million entries
	$(BIN)/python -m benchmarks.scale $(ARGS)

bench-hostile: $(INSTALLED) $(NATIVE) ## Measure appends of one caller while others attack
	$(BIN)/python -m benchmarks.hostile $(ARGS)

demo: $(INSTALLED) $(NATIVE) ## Show it all in a minute; DATA=folder imports CloudTrail files
	@$(BIN)/python -m demo $(if $(DATA),--data '$(DATA)') $(ARGS)

lock: $(INSTALLED) ## Resolve requirements.lock anew
	$(BIN)/python scripts/list_requirements.py | env -u PIP_FIND_LINKS CUSTOM_COMPILE_COMMAND='make lock' \
		$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-annotate \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock -

$(BUF): .ci/package-lock.json
	npm ci --prefix .ci --no-audit --no-fund --loglevel error
	@touch $@

clean: ## Remove what was built
	rm -rf $(VENV) .fuzz native/target .ci/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache build
	find . -name '*.egg-info' -prune -exec rm -rf {} + -o -name __pycache__ -prune -exec rm -rf {} +
