# make app runs the app, make test every test, make bench every benchmark; each sets up what is
# missing in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := $(VENV)-tools
FAST := -n 2 --dist loadfile -m "not slow and not browser"
ALL := $(patsubst %,-r %,$(wildcard requirements*.txt))

.PHONY: app test check bench clean lock audit oldest newest

app: $(VENV)/.run
	$(BIN)/streamlit run app.py

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest $(FAST)

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/all.py

# The newest versions that requirements.txt allows, each with the hashes of its files.
lock: $(TOOLS)/.done
	$(TOOLS)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' --output-file requirements.lock requirements.txt

# Whether something is known against a locked version; fails where one could not be looked up.
audit: $(TOOLS)/.done
	$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock

# The fast tests with the oldest versions that the requirements allow, and with those of the lock.
oldest: $(TOOLS)/.done
	$(TOOLS)/bin/uv venv --clear --python $(PYTHON) $(VENV)-oldest
	$(TOOLS)/bin/uv pip install --python $(VENV)-oldest --resolution lowest-direct $(ALL)
	$(VENV)-oldest/bin/python -m pytest $(FAST)

newest: $(TOOLS)/.done
	$(TOOLS)/bin/uv venv --clear --python $(PYTHON) $(VENV)-newest
	$(TOOLS)/bin/uv pip install --python $(VENV)-newest --require-hashes -r requirements.lock
	$(TOOLS)/bin/uv pip install --python $(VENV)-newest $(ALL)
	$(VENV)-newest/bin/python docs/dependencies.py > docs/dependencies.md
	$(VENV)-newest/bin/python -m pytest $(FAST)

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-newest $(TOOLS)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ncviz needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(TOOLS)/.done:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet uv pip-audit
	touch $@

$(VENV)/.run: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@
