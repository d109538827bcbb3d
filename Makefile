# make demo   set up .venv, build the runtime, compile the reverse dictionary and ask it for ten words
# make test   everything that CI checks: lint, types, pytest, and under it the C tests with sanitizers
# make test-all  that, what takes minutes, and the runtime by every compiler at hand for every architecture, as a table
# make fix    format the code, and mend what the linter can mend
# make ctest  only the C tests
# make cover  the tests' coverage of the C library and its tools, then of the Python packages: a table each, by file
# make mutants  put small faults into the code, one at a time, and see which of them no test notices
# make fuzz   fuzz the C library, a minute a target (SECONDS=N); fuzz-smoke, a few seconds, is a part of make test
# make wheels  wheels of edgexl for Linux (x86-64, arm64), which need no compiler, into dist
# make lib    only the C library and its tools, into edgexl/runtime/lib
#
# Set-up happens once: stamps in .venv depend on pyproject.toml, the library's on the C sources.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LIB := edgexl/runtime/lib/.built
C_FILES := $(shell find edgexl/runtime -name '*.[ch]' -o -name CMakeLists.txt)
# Two processes, of one thread each where it matters; a file's tests stay together as long as both have some.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses 2 --dist worksteal --durations=25 --durations-min=5
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test test-all fix lint types ctest pytest cover cover-c cover-python mutants fuzz fuzz-smoke wheels lib clean

demo: $(VENV)/.ready $(LIB)
	$(BIN)/edgexl demo

test: lint types pytest

test-all: lint types $(LIB)
	.ci/packages test-all
	$(PYTEST) -m 'slow or not slow'
	$(BIN)/python -m tests.runtime.compile_matrix

fix: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(filter %.c %.h,$(C_FILES))

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(filter %.c %.h,$(C_FILES))

types: $(VENV)/.ready-dev
	$(BIN)/mypy

# The address and undefined-behaviour sanitizers see what a passing test does not show. pytest runs these too, from the
# same directory (tests/runtime/test_sanitized.py).
ctest: $(VENV)/.ready-dev
	$(BIN)/python -m tests.runtime.c_tests

# Of pytest only what reaches the library named here; a coverage build exports more names than the interface.
cover: cover-c cover-python

cover-c: $(VENV)/.ready-dev
	mkdir -p build/cover && find build/cover -name '*.gcda' -delete
	$(BIN)/python -m tests.runtime.c_tests build/cover -DEDGEXL_COVERAGE=ON
	EDGEXL_LIBRARY="$(CURDIR)/build/cover/libedgexl.so" \
	    $(BIN)/python -m pytest -q tests/bundle tests/cli tests/hostile \
	    tests/index tests/runtime -k 'not test_only_the_interface_is_exported' \
	    $(addprefix --ignore=tests/runtime/test_,amalgamate.py build.py compile_matrix.py native_isas.py sanitized.py)
	$(BIN)/python -m tests.runtime.c_coverage build/cover

cover-python: $(VENV)/.ready-dev $(LIB)
	$(BIN)/python -m pytest -q --cov=edgexl --cov-branch --cov-report=term

pytest: $(VENV)/.ready-dev $(LIB)
	$(PYTEST)

# A sample of each language; results add up in the user's cache (`--totals`). SEED=3 draws other faults than SEED=2.
SEED ?= 1
mutants: $(VENV)/.ready-dev $(LIB)
	$(BIN)/python -m tests.mutants --language python --count 50 --seed $(SEED)
	$(BIN)/python -m tests.mutants --language c --count 50 --seed $(SEED)

SECONDS ?= 60
fuzz: $(VENV)/.ready-dev $(LIB)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

fuzz-smoke: $(VENV)/.ready-dev $(LIB)
	$(BIN)/python -m pytest -q tests/fuzz

wheels: $(VENV)/.ready-dev
	$(BIN)/python -m edgexl.ship.release dist

lib: $(LIB)

$(LIB): $(C_FILES) $(VENV)/.ready
	$(BIN)/cmake -S edgexl/runtime -B build/runtime -G Ninja -DCMAKE_MAKE_PROGRAM="$(CURDIR)/$(BIN)/ninja" \
	    -DCMAKE_BUILD_TYPE=Release -DEDGEXL_PYTHON=ON
	$(BIN)/cmake --build build/runtime
	$(BIN)/cmake --install build/runtime --prefix .
	touch $@

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	touch $@

# torch comes first, alone and at a fixed version: a build of it for CPUs that pip already has at hand (a wheel
# directory in PIP_FIND_LINKS, for one) is then taken, and nothing later asks for another one with CUDA in it.
# edgexl itself is installed editable and without its C part, which `make lib` builds where the sources lie.
$(VENV)/.ready: $(VENV)/.python pyproject.toml
	$(PIP) torch==2.13.0
	$(PIP) scikit-build-core cmake ninja
	$(PIP) --no-build-isolation --editable '.[compile,ort]'
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) --no-build-isolation --editable '.[compile,ort,cross,dev]'
	touch $@

clean:
	rm -rf build dist edgexl/runtime/lib .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -exec rm -rf {} +
