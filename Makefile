# Every target sets up what it needs in .venv: Python 3.11 or later, git and make are enough.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NODE_READY := tests/node/node_modules/.ready

TARGET ?=
PROTOCOL ?=
REPORT ?= reports/latest
# Result folders that `make matrix` publishes: of real servers, and of the reference and the tests' own.
REAL ?=
OURS ?=
# More for pytest: make conformance ARGS="-k PG-FLT -n 2"
ARGS ?=

.PHONY: help conformance test check format bench bench-client bench-server proof evidence matrix flake mutants docs real-penguin real-opencode build clean

help:
	@echo "make conformance [TARGET=URL] [PROTOCOL=P/R] [ARGS=…]   judge a server (default: the built-in reference server)"
	@echo "make test           our own tests"
	@echo "make check          lint and types"
	@echo "make proof          the kill matrix: the suite against every fault and variant (ARGS='--only NAME')"
	@echo "make flake          repeat the run 30 times plain, with busy cores and through a delaying proxy (ARGS='--runs 5')"
	@echo "make mutants        would our tests notice if the decoder or a rule were slightly wrong?"
	@echo "make bench          benchmarks, side by side"
	@echo "make bench-client   those of the load client alone (ARGS=--quick: whether they work)"
	@echo "make bench-server   those of the reference server alone (ARGS=--quick: whether they work)"
	@echo "make real-penguin   judge a real penguin-ai server"
	@echo "make real-opencode  judge a real OpenCode server"
	@echo "make matrix         servers side by side, from published results (REAL='reports/real-penguin' takes a new one over)"
	@echo "make docs           the requirement pages, from the catalogues"
	@echo "make build          wheel and sdist in dist/"

# reports/latest is the last run alone; a folder of one's own keeps what earlier runs wrote there.
conformance: $(READY)
	@if [ "$(REPORT)" = reports/latest ]; then rm -rf reports/latest; fi
	$(BIN)/pytest $(if $(TARGET),--target "$(TARGET)") $(if $(PROTOCOL),--sse-protocol "$(PROTOCOL)") \
		--sse-report "$(REPORT)" -q $(ARGS) conformance/suite

test: $(READY) $(NODE_READY)
	$(BIN)/pytest tests $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python tests/benchmarks/bench_decoder.py
	$(BIN)/python tests/benchmarks/bench_check.py
	$(MAKE) bench-client
	$(MAKE) bench-server

bench-client: $(READY)
	$(BIN)/python tests/benchmarks/bench_client.py $(ARGS)

bench-server: $(READY)
	$(BIN)/python tests/benchmarks/bench_server.py $(ARGS)

proof: $(READY)
	PYTHONPATH=. $(BIN)/python tests/proof/matrix.py $(ARGS)

flake: $(READY)
	PYTHONPATH=. $(BIN)/python tests/proof/flake.py $(ARGS)

# The matrix of the published results, after taking over those of real servers and of our own that are named.
matrix: $(READY)
	PYTHONPATH=. $(BIN)/python tests/proof/publish_results.py $(if $(REAL),--real $(REAL)) $(if $(OURS),--ours $(OURS))

# What each requirement was seen to fail under and to pass on, from the matrix and from judged servers.
evidence: $(READY)
	SSE_KEEP_RESULTS=reports/servers $(BIN)/pytest -q tests/servers
	PYTHONPATH=. $(BIN)/python tests/proof/collect_evidence.py --proof reports/published/proof.json reports/servers/*.json
	$(MAKE) docs

mutants: $(READY)
	PYTHONPATH=. $(BIN)/python tests/proof/mutants.py $(ARGS)

docs: $(READY)
	$(BIN)/sse-conformance requirements --format markdown -o docs/requirements

real-penguin: $(READY)
	$(BIN)/python -m tests.real.penguin $(ARGS)

real-opencode: $(READY)
	$(BIN)/python -m tests.real.opencode $(ARGS)

build: $(READY)
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis reports/latest reports/real-* tests/node/node_modules

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed, and none was found on PATH" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,fast]'
	@touch $@

# The comparison with Node's reading of the same bytes; without npm its test is skipped by name.
$(NODE_READY): tests/node/package.json tests/node/package-lock.json
	@if command -v npm >/dev/null; then (cd tests/node && npm ci --silent --no-audit --no-fund) && touch $@; \
	else echo "npm is missing: the test against Node's decoder will be skipped"; fi
