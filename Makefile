# Every step of the continuous integration is a target here; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-package imrs-client --no-header --no-annotate

# Each of the many processes that tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-long prometheus test-litellm litellm lint format gen gen-check breaking lock bench bench-docs bench-quality clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run.stamp  ## start everything for development; ARGS="--port 9000" is passed on
	$(BIN)/imrs dev $(ARGS)

test: .venv/test.stamp  ## run the test suite; ARGS="-k sync" is passed on
	$(BIN)/pytest -n 3 --dist worksteal -m 'not long' $(ARGS)

test-long: .venv/test.stamp  ## run the tests that take long, also on the oldest PostgreSQL, and look for new examples
	$(BIN)/pytest -n 2 --dist worksteal -m long $(ARGS)
	$(BIN)/pytest -n 2 --dist worksteal --postgres 16 tests/integration $(ARGS)
	$(BIN)/pytest -n 2 --dist worksteal -m hypothesis --hypothesis-profile=searching $(ARGS)

prometheus: .venv/prometheus.stamp  ## unpack Debian's Prometheus into .venv: tests of dashboards and alerts run where it is there

litellm: .venv-litellm/stamp  ## install LiteLLM beside (600 MB): `make bench` compares with it where it is there

test-litellm: .venv/test.stamp .venv-litellm/stamp  ## sync from a real LiteLLM proxy and chat with it (600 MB to install)
	IMRS_TEST_LITELLM=.venv-litellm/bin/litellm $(BIN)/pytest tests/integration/catalogue/test_litellm.py tests/integration/adapters/test_chat_litellm.py tests/acceptance/test_door_litellm.py $(ARGS)

lint: .venv/test.stamp gen-check breaking  ## style, types, import directions, protos, generated code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint
	cd protos && ../$(BIN)/buf format --diff --exit-code
	$(BIN)/python tools/check_files.py

format: .venv/test.stamp  ## put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	cd protos && ../$(BIN)/buf format --write

gen: .venv-gen/stamp  ## generate imrs_client/v1 from protos/
	.venv-gen/bin/python tools/generate.py

gen-check: gen
	@git diff --exit-code --stat -- imrs_client/v1 && test -z "$$(git ls-files --others --exclude-standard imrs_client/v1)" \
		|| { echo "imrs_client/v1 is not what protos/ generates: commit the result of 'make gen'"; exit 1; }

breaking: .venv/test.stamp  ## compare the protos with the last release
	$(BIN)/python tools/check_breaking.py

lock: | .venv/bin/pip  ## renew requirements/*.txt
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(COMPILE) --group build -o requirements/build.txt
	$(COMPILE) pyproject.toml --extra dev --extra curated --group build -o requirements/run.txt
	$(COMPILE) pyproject.toml --extra dev --extra curated --extra otel --group build --group test --group lint -c requirements/run.txt -o requirements/test.txt
	$(COMPILE) --group bench -c requirements/test.txt -o requirements/bench.txt
	$(COMPILE) --group gen -o requirements/gen.txt
	$(COMPILE) --group litellm -o requirements/litellm.txt

bench: .venv/bench.stamp  ## measure everything that the documentation claims; ONLY=name,name runs a part
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

bench-docs: .venv/bench.stamp  ## put the figures of the last `make bench` into README and docs
	$(BIN)/python -m benchmarks.document

bench-quality: .venv/bench.stamp  ## measure how well routing learns; TABLE=file.csv.gz SEEDS=8 REQUESTS=3000 ONLY=pooled,srs
	$(BIN)/python -m benchmarks.quality $(TABLE) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(REQUESTS),--requests $(REQUESTS)) $(if $(ONLY),--only "$(ONLY)")

clean:  ## remove environments and what tools left behind; data in .imrs/ stays
	rm -rf .venv .venv-gen .venv-litellm build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "IMRS needs Python 3.11 to 3.13; name one with make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/run.stamp: requirements/build.txt requirements/run.txt pyproject.toml imrs_client/pyproject.toml | .venv/bin/pip
	$(INSTALL) -r requirements/build.txt
	$(INSTALL) -r requirements/run.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e imrs_client -e .
	touch $@

.venv/test.stamp: .venv/run.stamp requirements/test.txt
	$(INSTALL) -r requirements/test.txt
	touch $@

# Unpacked and not installed: nothing of the system changes, and no service starts. Lists of packages may be missing or old.
.venv/prometheus.stamp: | .venv/bin/pip
	rm -rf .venv/prometheus && mkdir .venv/prometheus
	cd .venv/prometheus && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } \
		&& dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb
	ln -sf ../prometheus/usr/bin/prometheus ../prometheus/usr/bin/promtool .venv/bin/
	touch $@

.venv/bench.stamp: .venv/test.stamp requirements/bench.txt
	$(INSTALL) -r requirements/bench.txt
	touch $@

.venv-litellm/stamp: requirements/litellm.txt
	$(PYTHON) -m venv .venv-litellm
	.venv-litellm/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/litellm.txt
	touch $@

.venv-gen/stamp: requirements/gen.txt
	$(PYTHON) -m venv .venv-gen
	.venv-gen/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/gen.txt
	touch $@
