# make run      start the server (ARGS="--port 7700 --workers 4" passes flags on)
# make test     everything pytest runs          make check        ruff, mypy, cython-lint
# make bench    compare with other servers      make conformance  Redis's own test suite against shardkv
# make profile  where the CPU time goes         make docs         the figures in README.md, from bench/results.json
# make soak     load while processes are killed, for ten minutes; histories are checked
# make model    the protocols, explored whole in larger bounds than in make test
# make stalls   the longest that a growing or a freed collection keeps a worker from its next request

PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
ARGS ?=
PY := .venv/bin/python
SOURCES := $(shell find shardkv workers -name '*.pyx' -o -name '*.pxd' -o -name '*.h')
COMPILED := $(shell find shardkv workers -name '*.pyx')

# Prints the requirements of the server and of the extras named behind it.
REQUIREMENTS = import sys, tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
	print(*p["build-system"]["requires"], *p["project"]["dependencies"], \
	*(r for e in sys.argv[1:] for r in p["project"]["optional-dependencies"][e]), sep="\n")
# Prints the wheels that hold rivals.
RIVALS = import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
	print(*p["project"]["optional-dependencies"]["rivals"], sep="\n")

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: run build test check bench profile stalls conformance model soak docs clean distclean

run: build
	@exec $(PY) -m shardkv $(ARGS)

build: build/.made

test: build build/generator build/handover .venv/.made-test
	@$(PY) -m pytest $(ARGS)

check: build .venv/.made-test
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@PATH="$(CURDIR)/.venv/bin:$$PATH" cython-lint shardkv workers

bench: build build/generator build/handover .venv/.made-bench .venv/.made-rivals
	@$(PY) -m bench.run $(ARGS)

profile: build .venv/.made-bench
	@$(PY) -m bench.profile $(ARGS)

stalls: build
	@$(PY) -m bench.stalls $(ARGS)

conformance: build
	@$(PY) -m tests.conformance.run $(ARGS)

model: .venv/.made-test
	@$(PY) -m tests.model.run $(ARGS)

soak: build .venv/.made-test
	@$(PY) -m tests.soak.run $(ARGS)

docs: .venv/.made-bench
	@$(PY) -m bench.report --readme

# One compiler per core; setuptools compiles only what changed. A .so that was removed by hand is noticed too.
build/.made: setup.py .venv/.made $(SOURCES) $(if $(filter-out $(words $(COMPILED)),$(shell find shardkv workers -name '*.so' | wc -l)),force)
	@command -v $${CC:-cc} >/dev/null || { echo "shardkv needs a C compiler: no '$${CC:-cc}' found (Debian: apt-get install gcc libc6-dev)" >&2; exit 1; }
	@mkdir -p build
	@JOBS=$(JOBS) $(PY) setup.py -q build_ext --inplace >build/log 2>&1 || { cat build/log >&2; exit 1; }
	@touch $@

.PHONY: force
force:

# The load generators of `make bench`; no part of the server, so setup.py does not know them.
build/generator build/handover: build/%: bench/%.c bench/tool.h
	@command -v $${CC:-cc} >/dev/null || { echo "make bench needs a C compiler: no '$${CC:-cc}' found (Debian: apt-get install gcc libc6-dev)" >&2; exit 1; }
	@mkdir -p build
	@$${CC:-cc} -O2 -std=gnu11 -Wall -Wextra -o $@.$$$$ $< && mv $@.$$$$ $@

# .venv holds the dependencies only, never shardkv itself: what runs is what stands in the tree.
.venv/.made: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "shardkv needs Python 3.11 or newer, which '$(PYTHON)' is not: make PYTHON=python3.12, say" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "shardkv needs Python's venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@test -x $(PY) && $(PY) -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@$(PY) -c '$(REQUIREMENTS)' >.venv/requirements.txt
	@$(PY) -m pip install -q --disable-pip-version-check -r .venv/requirements.txt
	@touch $@

.venv/.made-test .venv/.made-bench: .venv/.made-%: .venv/.made
	@$(PY) -c '$(REQUIREMENTS)' $* >.venv/requirements-$*.txt
	@$(PY) -m pip install -q --disable-pip-version-check -r .venv/requirements-$*.txt
	@touch $@

# Newer servers to measure against, where there are wheels of them for this platform; bench/rivals.py goes without the others.
.venv/.made-rivals: .venv/.made-bench
	@$(PY) -c '$(RIVALS)' | while read -r rival; do \
		$(PY) -m pip install -q --disable-pip-version-check --only-binary :all: "$$rival" || \
			echo "no wheel of $$rival for this platform: measured without" >&2; \
	done
	@touch $@

clean:
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find shardkv workers -name '*.so' -delete
	@find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	@rm -rf .venv .conformance
