# Each target first makes .venv from the pins, with the first Python >= 3.12 that runs (see .ci/setup).
#   make demo, make test        the two that matter
#   make coverage               the tests, and which lines they reach (a tenth slower)
#   make quick ARGS=tests/prior the tests without the slow ones, or only those named
#   PYTHON=/path/to/python      another Python;  WORKERS=8   more processes for the tests
WORKERS ?= 2
ARGS ?=
BIN := .venv/bin
COVERAGE := --cov --cov-report=term

# Python writes the bytecode of what it imports, so that the next run starts faster.
unexport PYTHONDONTWRITEBYTECODE
# What the shell around make thinks of Python's folders is no business of .venv.
unexport PYTHONPATH PYTHONHOME

.PHONY: demo test quick coverage lint format types docs bench pins clean
.NOTPARALLEL:

demo:
	@.ci/setup
	$(BIN)/probinv demo $(ARGS)

test:
	@.ci/setup dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=15 $(ARGS)

coverage:
	@.ci/setup dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(COVERAGE) $(ARGS)

quick:
	@.ci/setup dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

lint:
	@.ci/setup dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check

format:
	@.ci/setup dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

types:
	@.ci/setup dev
	$(BIN)/mypy

docs:
	@.ci/setup dev
	$(BIN)/sphinx-build -W --keep-going -q -d .cache/sphinx docs docs/_build

bench:
	@.ci/setup
	$(BIN)/probinv bench $(ARGS)

# The pins are made anew with uv, which nothing else needs. No host of a registry is kept.
EXPORT := uv export -q --no-emit-project --no-header --format requirements.txt
pins: export UV_PYTHON_DOWNLOADS := never
pins:
	uv lock -q --upgrade
	$(EXPORT) --no-default-groups --group build --extra sklearn -o requirements.txt >/dev/null
	$(EXPORT) --all-groups --all-extras -o requirements-dev.txt >/dev/null
	rm uv.lock
	! grep -nE '://|^ *--(index|extra-index|find-links)' requirements.txt requirements-dev.txt

clean:
	rm -rf .venv .cache docs/_build
