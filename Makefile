# Two commands for a newcomer: `make app` and `make test`. Both begin with `make setup`.
PYTHON ?= python3.11
VENV ?= .venv
PORT ?= 8501
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= passive
export HF_HUB_OFFLINE ?= 1

.PHONY: setup app test fuzz test-slow test-faults test-slurm check bench bench-quick bench-load screens figures docs

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

app: setup
	$(BIN)/python -m streamlit run app/streamlit_app.py --server.port $(PORT)

# Two at a time, a file on one of them: the project is meant for two cores.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

MINUTES ?= 10
fuzz: setup
	$(BIN)/python -m tests.fuzz $(MINUTES)

test-slow: setup
	$(BIN)/python -m pytest -m slow

test-faults: setup
	for i in $$(seq 20); do $(BIN)/python -m pytest tests/jobs/test_job_faults.py --durations=0 || exit 1; done

test-slurm: setup
	$(BIN)/pip install --quiet --disable-pip-version-check submitit==1.5.4
	$(BIN)/python -m pytest tests/jobs/test_slurm.py -m slurm -rs

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: setup
	$(BIN)/python -m seminar_core bench retrieval --full
	$(BIN)/python -m seminar_core bench training --full
	$(BIN)/python -m seminar_core bench evaluation --full
	$(BIN)/python -m seminar_core bench import --full
	$(BIN)/python -m seminar_core bench app --full

bench-quick: setup
	$(BIN)/python benchmarks/quick.py

bench-load: setup
	$(BIN)/python benchmarks/app_load.py --out docs/results/app-load.json

screens: setup
	$(BIN)/python docs/screens/take_screens.py

figures: setup
	$(BIN)/python docs/figures/make.py

docs: setup
	$(BIN)/python docs/site/write.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -f docs/site/mkdocs.yml
	@echo "written: site/index.html"
