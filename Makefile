# Two commands: `make start` installs and runs the main job, `make test` installs and runs every check.

VENV   := .venv
PYTHON := $(VENV)/bin/python
SPACE  ?= search_spaces/cnn.yaml

.PHONY: start test install

start: install
	$(VENV)/bin/explore start $(SPACE)

test: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PYTHON) -m pytest

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@
