# Two commands: `make start` installs and runs the main job, `make test` installs and runs every check.

VENV   := .venv
PYTHON := $(VENV)/bin/python
SPACE  ?= search_spaces/cnn.yaml

.PHONY: start test test-measuring test-others install audit

start: install
	$(VENV)/bin/explore start $(SPACE)

test: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@echo "The tests run in two halves side by side; each shows what it found when it has ended, in about 20 minutes."
	$(MAKE) --jobs=2 --output-sync=target test-measuring test-others

test-measuring: install
	$(PYTHON) -m pytest -m measures

# Beside those that measure: with less of a claim on the processor, and off the core that they measure on.
test-others: install
	nice -n 5 $(PYTHON) -m pytest -m "not measures"

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
