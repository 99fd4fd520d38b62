# Everything lives in .venv. `make demo` and `make test` set it up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
READY := $(VENV)/.ready
export OMP_NUM_THREADS := 1

.PHONY: setup demo test test-all sanitize lint types format clean

setup: $(READY)

KERNELS := setup.py $(wildcard src/dropkit/ops/kernels/csrc/*)

$(READY): pyproject.toml constraints.txt $(KERNELS)
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "dropkit needs Python 3.11 or newer; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt setuptools torch numpy
	$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[dev]'
	touch $(READY)

demo: setup
	$(BIN)/dropkit study --out runs/digits

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# The ops have a second implementation, for other devices and where nothing was built: it is tested by itself too.
REFERENCE := DROPKIT_KERNELS=reference $(BIN)/pytest -n 2 -m 'not slow' tests/ops --ignore-glob='*/test_kernels*'

test: lint types
	$(REFERENCE)
	$(BIN)/pytest -n 2 -m 'not slow'

test-all: lint types
	$(REFERENCE)
	$(BIN)/pytest -n 2

# The kernels' forms under AddressSanitizer and UBSan (GCC on Linux), in a build of their own.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
sanitize: setup
	rm -rf build/sanitize && mkdir -p build/sanitize && cp -r setup.py pyproject.toml README.md LICENSE src build/sanitize
	cd build/sanitize && CFLAGS="$(SANITIZE) -O1" LDSHARED="c++ -shared $(SANITIZE)" DROPKIT_REQUIRE_KERNELS=1 \
	    $(abspath $(BIN))/python setup.py -q build_ext --inplace
	PYTHONPATH=build/sanitize/src OMP_NUM_THREADS=2 ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so) $$(gcc -print-file-name=libstdc++.so)" \
	    $(BIN)/python tests/ops/sanitize.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
