# Every target works on a bare Python 3.11+ with pip: it makes its own tools in .tools/ and .venv/ first.

PYTHON ?= python3
# Tests side by side: one more than two cores have work for, since many of them wait for processes.
JOBS ?= 3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
BIN := .venv/bin

# The machine's certificates count, also behind a company's proxy; no Python is downloaded; no other venv interferes.
# All is compiled once here, and kept whatever the environment says: not by each of the processes that start side by side.
export UV_SYSTEM_CERTS := 1
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
export UV_COMPILE_BYTECODE := 1
unexport VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

# What depends on how Celery, kombu, redis-py, SQLAlchemy, Flower and pydantic behave.
LOWEST_QUICK := tests/unit/broker/test_celery_environment.py tests/unit/settings tests/unit/model/test_codec.py \
	tests/integration/ledger/test_shared_database.py tests/integration/test_redis_places.py
LOWEST := tests/unit tests/integration/ledger tests/integration/test_redis_places.py tests/integration/cli \
	tests/integration/flower tests/chaos/test_child_death.py tests/chaos/test_stopping.py

.DEFAULT_GOAL := help
.PHONY: help demo up test test-again test-fast coverage simulate chaos campaign test-lowest check audit bench docs release compose-env compose-pin sync clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16
	@echo "Variables: PYTHON=python3.12 (any from 3.11 on), TREE=folder (demo), ARGS='-k name', JOBS=3 and THOROUGH=1 (test)"

demo: .venv/.synced ## Watch real jobs run while a worker is killed (TREE=folder archives yours)
	$(BIN)/perdure demo $(if $(TREE),--tree "$(TREE)") $(ARGS)

up: .venv/.synced ## Run Redis, the workers and Flower in this folder until Ctrl-C
	@exec $(BIN)/perdure up $(ARGS)

test: .venv/.synced ## Run the tests on real servers (THOROUGH=1: with all examples, and chaos on both databases)
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=25 $(ARGS)

test-again: .venv/.synced ## Run the tests that failed last time, at most five of them, one after the other
	@$(BIN)/python -c 'import json, pathlib, sys; failed = json.loads(pathlib.Path(".pytest_cache/v/cache/lastfailed").read_text()); \
	print("again:", *failed, sep="\n  "); len(failed) <= 5 or sys.exit("that many failures are no accident")'
	$(BIN)/pytest --last-failed --last-failed-no-failures none $(ARGS)

test-fast: .venv/.synced ## Run the quick tests without PostgreSQL, in about a minute
	$(BIN)/pytest -q -n 2 -m "not (slow or postgresql or chaos or browser)" $(ARGS) tests/unit tests/integration

coverage: .venv/.synced ## Measure which branches of the platform the tests run, in all processes; name the lines that none does
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest -n 2 --dist loadfile -p no:cacheprovider $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

simulate: .venv/.synced ## Run schedules of misfortune on a simulated platform (SEEDS=10000, SEED=n for one)
	SIMULATE_SEEDS=$(or $(SEEDS),10000) SIMULATE_SEED=$(SEED) $(BIN)/pytest -q -rP -n auto tests/integration/simulator/test_simulator.py $(ARGS)

chaos: .venv/.synced ## Break a platform on purpose, in all ways there are, on SQLite and PostgreSQL: an hour (SECONDS=20, SEED=1)
	$(BIN)/perdure chaos run all --duration $(or $(SECONDS),20) --seed $(or $(SEED),1) --report .chaos/sqlite
	$(BIN)/perdure chaos run all --duration $(or $(SECONDS),20) --seed $(or $(SEED),1) --report .chaos/postgresql --ledger postgresql
	CHAOS_BROKEN_BUILDS=1 $(BIN)/pytest -q tests/chaos/test_lab.py

test-lowest: .tools/uv-$(UV_VERSION) ## Run a part of the tests with the oldest libraries that are allowed (QUICK=1: the parts that differ)
	$(UV) venv --quiet --clear --python .tools/bin/python .venv-lowest
	$(UV) pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct -e '.[all]' --group dev
	.venv-lowest/bin/pytest -p no:cacheprovider -m "not browser" $(if $(QUICK),$(LOWEST_QUICK),$(LOWEST)) $(ARGS)

check: .venv/.synced ## Lint, format, types, dead code, import contracts, lock
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy tests benchmarks $(wildcard docs/*.py)
	$(BIN)/vulture
	$(BIN)/lint-imports
	$(UV) lock --check
	@$(MAKE) --no-print-directory audit

audit: .tools/uv-$(UV_VERSION) ## Look for known vulnerabilities of all locked packages; AUDIT=required fails where osv.dev cannot be asked
	@UV_HTTP_RETRIES=0 $(UV) audit --locked --preview-features audit; code=$$?; \
	if [ $$code = 2 ] && [ "$(AUDIT)" != required ]; then \
		echo "NOT AUDITED: the database of vulnerabilities cannot be asked from here (see above)"; \
	else exit $$code; fi

bench: .venv/.synced ## Measure beside Celery and other peers (ARGS=quick: rough, in minutes)
	$(UV) run --locked --group bench python -m benchmarks $(ARGS)

campaign: .venv/.synced ## The kill league: kill the workers of perdure and its peers, and see what they lose (KILLS=200)
	$(UV) run --locked --group bench python -m benchmarks.campaign --kills $(or $(KILLS),200) --publish $(ARGS)

docs: .venv/.synced ## Build the documentation into site/, warnings are errors; run every code block of README.md and docs/
	NO_MKDOCS_2_WARNING=1 $(UV) run --locked --group docs mkdocs build --strict
	$(BIN)/python docs/check.py $(ARGS)

release: .venv/.synced ## Build what is published, check it, write release notes with checksums (SIGN=KEY signs them), all in dist/
	$(UV) build --quiet --clear --out-dir dist
	$(UV) export --quiet --locked --format cyclonedx1.5 --no-default-groups --all-extras --output-file dist/sbom.cdx.json
	$(BIN)/check-wheel-contents dist/*.whl
	$(UV) run --locked --group release twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/python .ci/release.py dist $(if $(SIGN),"$(SIGN)")
	cd dist && ../$(UV) run --quiet --isolated --no-project --with "$$(ls *.whl)[worker]" \
		python -c 'import platform, perdure, perdure_tasks; assert platform.python_version()' && \
	../$(UV) run --quiet --isolated --no-project --with "$$(ls *.whl)[worker]" perdure --version

compose-env: ## Write .env and secrets/ with new passwords for docker-compose.yml
	@"$(PYTHON)" deploy/compose_env.py

compose-pin: ## Pin the images of docker-compose.yml by digest, in .env, as their registries have them now
	@"$(PYTHON)" deploy/compose_pin.py

sync: .venv/.synced ## Make the virtual environment

clean: ## Remove environments, caches and build results
	rm -rf .venv .venv-lowest .tools .bench .chaos dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a second call does nothing; a new lock, pyproject.toml or uv version does its part again.
.venv/.synced: .tools/uv-$(UV_VERSION) uv.lock pyproject.toml
	$(UV) sync --locked --python .tools/bin/python
	$(BIN)/python -m compileall -q platform workers tasks
	@touch $@

.tools/uv-$(UV_VERSION):
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "perdure needs Python 3.11 or newer, and there is no '$(PYTHON)'. Try: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("perdure needs Python 3.11 or newer; \
	%s is %d.%d. Try: make PYTHON=python3.12" % (sys.executable, v[0], v[1]))'
	@rm -rf .tools
	"$(PYTHON)" -m venv .tools
	.tools/bin/python -m pip install --quiet uv==$(UV_VERSION)
	@touch $@
