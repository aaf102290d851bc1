# Two commands: `make start` installs and runs the main job, `make test` installs and runs every check.

VENV   := .venv
PYTHON := $(VENV)/bin/python
SPACE  ?= search_spaces/cnn.yaml

.PHONY: start test install audit

start: install
	$(VENV)/bin/explore start $(SPACE)

test: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PYTHON) -m pytest

# The packages of constraints.txt, compared with the known vulnerabilities: see SECURITY.md. It has an environment of its
# own, so that it changes none of what it looks at.
audit:
	test -x $(VENV)-audit/bin/pip-audit || { python3 -m venv $(VENV)-audit && \
		$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	$(VENV)-audit/bin/pip-audit --requirement constraints.txt --strict --no-deps --disable-pip

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@
