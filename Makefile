PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: demo test fuzz fault-headline fault-nightly fault-release fault-soak fault-figures bench bench-net bench-preparation bench-quality bench-readers bench-isolation bench-but-net bench-writing bench-end-to-end bench-startup bench-memory bench-page bench-pcgrad bench-sql check docs train-demo demo-bundle wheel clean

# Set up, then score the sample ECGs that ship with the project into ecgbatch-demo.db.
demo: .venv/.base
	.venv/bin/ecgbatch demo

# Set up what the tests need (PostgreSQL and a browser too), and run them.
test: .venv/.test .venv/.browser
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n auto --dist worksteal

# Damage the sample files of every format and print what came of it: 20,000 files of a format that
# carries a size, a CRC or a checksum, 5,000 of the others.
fuzz: .venv/.test
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.fuzz

# Kill -9 two workers 200 times over 5,000 files, on SQLite and on PostgreSQL, with controls; JSON last.
fault-headline: .venv/.test
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.faults.headline

# The fault tests that take too long for every change: long outages, a broken network, system calls
# that fail; then the others with the plan's full numbers, every crash point among them.
fault-nightly: .venv/.test
	ECGBATCH_TEST_EFFORT=full OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -m nightly --timeout 3600 tests/faults
	ECGBATCH_TEST_EFFORT=full OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q --timeout 3600 tests/faults tests/readers/test_wfdb_generated.py

# Before a release: the upgrade of a ledger with rows in it under a running worker; a fit by two
# processes, and what else of the trainer takes long.
fault-release: .venv/.test
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q --timeout 3600 tests/faults/test_upgrade.py tests/migration
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -m release --timeout 3600 tests/training

# 20,000 recordings through the service, files arriving all the time; JSON last.
fault-soak: .venv/.test
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.faults.soak

# Both again, and their figures into docs/reliability.md.
fault-figures: .venv/.test
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.faults.headline --write
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.faults.soak --write

# How fast on this machine, all in order; each prints one line of JSON last, and WRITE=--write also keeps
# the figures with machine and date in benchmarks/results, from where bench-page writes
# docs/performance.md.
WRITE =
bench: bench-net bench-preparation bench-quality bench-readers bench-isolation bench-but-net bench-writing bench-end-to-end bench-startup bench-memory

# The net alone, full geometry: every runtime, precision and batch against eager as published.
bench-net: .venv/.test
	.venv/bin/python -m benchmarks.net $(WRITE)
bench-preparation: .venv/.test
	.venv/bin/python -m benchmarks.preparation $(WRITE)
bench-quality: .venv/.test
	.venv/bin/python -m benchmarks.quality $(WRITE)
bench-readers: .venv/.test
	.venv/bin/python -m benchmarks.readers $(WRITE)
# What the reader processes cost around what they do.
bench-isolation: .venv/.test
	.venv/bin/python -m benchmarks.isolation $(WRITE)
# Files to rows with a scorer that computes nothing.
bench-but-net: .venv/.test
	.venv/bin/python -m benchmarks.but_net $(WRITE)
bench-writing: .venv/.test
	.venv/bin/python -m benchmarks.writing $(WRITE)
# Files to rows against the published way.
bench-end-to-end: .venv/.test
	.venv/bin/python -m benchmarks.end_to_end $(WRITE)
# `ecgbatch --help`, and `run-once` with nothing to do.
bench-startup: .venv/.test
	.venv/bin/python -m benchmarks.startup $(WRITE)
# All processes together, and whether it grows with the number of files.
bench-memory: .venv/.test
	.venv/bin/python -m benchmarks.memory $(WRITE)
bench-page: .venv/.test
	.venv/bin/python -m benchmarks.page

# A plain BCE step, the published PCGrad loop and ours, turn by turn at full geometry; JSON last.
bench-pcgrad: .venv/.test
	.venv/bin/python -m benchmarks.pcgrad

# What a patient, a day, a worklist and figures by date cost on 1,000,000 score rows (PostgreSQL), plans;
# JSON last.
bench-sql: .venv/.test
	.venv/bin/python -m benchmarks.sql 250000 postgresql

# Style, types, layers, spelling.
check: .venv/.test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/typos
	.venv/bin/validate-pyproject pyproject.toml

# Pages that are written from the code.
docs: .venv/.test
	.venv/bin/python -m tests.support.reasons_page
	.venv/bin/python -m tests.support.cli_examples
	.venv/bin/python -m tests.support.cli_page
	.venv/bin/python -m tests.support.operations_page
	.venv/bin/python -m tests.support.training_commands_page
	.venv/bin/python -m tests.support.training_settings_page

# The whole way on synthetic ECGs: a cohort, its data, a fit, cuts, an evaluation, a bundle; then what
# an overnight run makes of ECGs that training has not seen, in SQL; then the study of PCGrad.
TRAINED = build/train-demo
TRAIN = .venv/bin/ecgbatch-train
QUESTION = SELECT any_vessel_stratum, count(*) AS ecgs, round(avg(any_vessel_risk), 3) AS mean_risk, bundle_name FROM v_latest_risk GROUP BY 1, 4 ORDER BY 3
train-demo: .venv/.test
	mkdir -p $(TRAINED)
	$(TRAIN) synthesise 8000 --config config/train.demo.toml --out $(TRAINED)/cohort
	$(TRAIN) check-data --config config/train.demo.toml --manifest $(TRAINED)/cohort/manifest.csv --run $(TRAINED)/run
	$(TRAIN) fit --run $(TRAINED)/run
	$(TRAIN) operating-points --run $(TRAINED)/run
	$(TRAIN) evaluate --run $(TRAINED)/run
	$(TRAIN) export --run $(TRAINED)/run --out $(TRAINED)/bundle --card $(TRAINED)/card.md
	$(TRAIN) synthesise 60 --seed 1 --config config/train.demo.toml --out $(TRAINED)/arrivals
	.venv/bin/ecgbatch run-once --source $(TRAINED)/arrivals/records --db sqlite:///$(TRAINED)/results.db --bundle $(TRAINED)/bundle --settle 0
	.venv/bin/python -c "import pandas, sqlite3; print(pandas.read_sql('$(QUESTION)', sqlite3.connect('$(TRAINED)/results.db')).to_string(index=False))"
	$(TRAIN) study-pcgrad --out $(TRAINED)/study

# Train the demonstration model again and replace the shipped bundle.
demo-bundle: train-demo
	$(TRAIN) golden-ecgs --config config/train.demo.toml --out ecgbatch/bundle/golden_ecgs.npz
	$(TRAIN) export --run $(TRAINED)/run --out ecgbatch/demonstration/bundle --card docs/demonstration-bundle.md

wheel: .venv/.test
	.venv/bin/python -m build --no-isolation

clean:
	rm -rf .venv build dist ecgbatch-demo.db ecgbatch-demo.key

.venv/bin/python:
	$(PYTHON) -m venv .venv
.venv/.base: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e .
	touch $@
.venv/.test: .venv/.base
	$(PIP) -e ".[test]"
	touch $@
# The report is looked at in a real Chromium; where none is found, root installs Debian's.
.venv/.browser: | .venv/.test
	@if .venv/bin/python -m tests.support.browser; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && apt-get install -qy --no-install-recommends chromium; \
	else echo "no Chromium, so no test of the report's page; install it, for example: apt-get install chromium"; exit 0; \
	fi && touch $@
