# Two commands: `make start` installs what a user needs and runs the main study (or SPACE=FILE); `make test` installs
# what the tests need too, and runs every check.

VENV   := .venv
PYTHON := $(VENV)/bin/python
MAIN   := search_spaces/cnn.yaml --fallback search_spaces/digits.yaml

.PHONY: start test audit

start: $(VENV)/.installed
	$(VENV)/bin/explore start $(or $(SPACE),$(MAIN))

test: $(VENV)/.installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PYTHON) -m pytest --numprocesses 2

# The packages of constraints.txt, compared with the known vulnerabilities: see SECURITY.md. It has an environment of its
# own, so that it changes none of what it looks at.
audit:
	test -x $(VENV)-audit/bin/pip-audit || { python3 -m venv $(VENV)-audit && \
		$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	$(VENV)-audit/bin/pip-audit --requirement constraints.txt --strict --no-deps --disable-pip

$(VENV)/.installed-test: EXTRAS := [test]

$(VENV)/.installed $(VENV)/.installed-test: pyproject.toml constraints.txt
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.$(EXTRAS)'
	touch $@
