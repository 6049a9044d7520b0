# `make demo` and `make test` do all their own set-up; they need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
PIP = -m pip install --quiet --disable-pip-version-check

VENV = .venv
# Two environments as a device has them: they hold the small runtimes only, never TensorFlow or a web framework.
DEVICE_VENVS = .venvs/litert .venvs/tflite-runtime
PRODUCT = $(shell find wire plans device_sdk federated/__init__.py -name '*.py' 2>/dev/null)

# Otherwise make would take them for passing files and delete them.
.SECONDARY: $(DEVICE_VENVS:%=%/.requirements)
.PHONY: help setup demo test check fast format clean

help:
	@echo "make demo [ARGS='--devices 12 --rounds 5']   a server and its devices on this machine"
	@echo "make test                                    all tests"
	@echo "make fast                                    the tests without TensorFlow and without processes"
	@echo "make check                                   what CI runs: format, lint, types, import contracts, tests"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@echo "setting up $(VENV) (once; a few minutes) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Fedelta needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python $(PIP) --editable '.[all,dev]'
	@touch $@

# The requirements once, the product itself again whenever it changed.
.venvs/%/.ready: .venvs/%/.requirements $(PRODUCT)
	@.venvs/$*/bin/python $(PIP) --no-deps --force-reinstall .
	@touch $@

.venvs/litert/.requirements: EXTRA = device
.venvs/tflite-runtime/.requirements: EXTRA = device-tflite-runtime
.venvs/%/.requirements: pyproject.toml
	@echo "setting up .venvs/$* (once) …"
	@$(PYTHON) -m venv --clear .venvs/$*
	@.venvs/$*/bin/python $(PIP) '.[$(EXTRA)]'
	@touch $@

demo: setup
	@$(VENV)/bin/fedelta demo $(ARGS)

test: setup $(DEVICE_VENVS:%=%/.ready)
	@$(VENV)/bin/python -m pytest --numprocesses auto --dist loadfile $(ARGS)

fast: setup
	@$(VENV)/bin/python -m pytest --numprocesses auto -m 'not tensorflow and not processes' $(ARGS)

check: setup
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(MAKE) --no-print-directory test

format: setup
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix --quiet .

clean:
	rm -rf $(VENV) .venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis
