# make report: the whole way from a bare machine to a report of the simulated demo study.
# make test:   everything the project promises.   make lab: JupyterLab on the notebooks.
# make test-long: what takes longer than anyone waits at a desk: runs killed at twenty moments, studies that lack most things.
# make bench:  how fast everything is, beside other programs in the same run, and how it grows with the number of donors.
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= demo
OUT ?= report

.PHONY: report test test-long bench lab lock audit fuzz dictionary notebooks clean
report: .venv/.installed $(STUDY)/study.yaml
	$(BIN)/apap report $(STUDY) --out $(OUT)

test: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-long: .venv/.installed
	$(BIN)/python -m pytest -m long tests/long

# Ratios against peers in the same run; takes an hour. The calibration of the statistics is longer and runs alone.
# Other files than the demo's: make bench BENCH_FCS="a.fcs b.fcs" BENCH_PLATES="plate.csv"
BENCH_FCS ?= demo/phenotype/fcs/B01C0*_stained.fcs
BENCH_PLATES ?= demo/cytokines/raw/*
bench: .venv/.installed demo/study.yaml
	for one in commands parts notebooks lab curves effects "plates $(BENCH_PLATES)" "flow $(BENCH_FCS)" \
		"flow --study 120 $(BENCH_FCS)" "scale 26 52 104"; do \
		set -- $$one; echo "== $$one"; name=$$1; shift; $(BIN)/python benchmarks/$$name.py "$$@" || exit 1; done

lab: .venv/.installed $(STUDY)/study.yaml
	$(BIN)/apap lab $(STUDY)

.venv/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# The demo is written anew only when what writes it has changed.
demo/study.yaml: .venv/.installed $(wildcard src/helpers/simulate/*.py)
	rm -rf demo
	$(BIN)/apap demo demo

# Regenerates the lock for Python 3.11 to 3.13 on every platform; uv, because its lock is universal.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	.venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra test \
		--no-emit-index-url --custom-compile-command "make lock" pyproject.toml --output-file requirements.txt
	rm -rf .venv-lock

# Known weaknesses of the locked packages: Error 1 some are known, Error 4 the advisory service could not be asked.
audit:
	$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.9" || { \
		echo "The lock was NOT audited: pip-audit cannot be installed without a network."; rm -rf .venv-audit; exit 4; }
	@.venv-audit/bin/python tests/lock/audit.py .venv-audit/bin/pip-audit requirements.txt; \
		code=$$?; rm -rf .venv-audit; exit $$code

# Damaged files of every kind, for ten minutes of processor time; what is found is kept in FUZZ_OUT as bytes.
FUZZ_OUT ?= fuzz
fuzz: .venv/.installed
	APAP_FUZZ_SECONDS=$${APAP_FUZZ_SECONDS:-600} APAP_FUZZ_OUT=$(FUZZ_OUT) \
		$(BIN)/python -m pytest -o addopts= -s -q --tb=short tests/fuzz

# The data dictionary from the schemas, and the demo's planted truths from the simulator.
dictionary: .venv/.installed
	$(BIN)/python -m helpers.study.dictionary
	$(BIN)/python -m helpers.simulate.writing

# Runs every notebook on the demo and stores it with its outputs.
notebooks: .venv/.installed
	$(BIN)/python tests/notebooks/refresh.py

clean:
	rm -rf demo report .venv .pytest_cache .mypy_cache .ruff_cache
