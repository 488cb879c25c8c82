# The commands of this project. Needs make, Python 3.11 or newer and the package registries; everything else goes into .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14 /usr/local/bin/python3 /usr/bin/python3

# The Debian packages that the tests need and this machine has not.
define MISSING
from tests.cluster.requirements import PACKAGES, busybox, found
missing = {package for program, package in {**PACKAGES, "curl": "curl", "tinyproxy": "tinyproxy-bin", "certutil": "libnss3-tools",
    "haproxy": "haproxy", "sshd": "openssh-server"}.items() if not found(program)}
print(*sorted(missing), *([] if busybox() else ["busybox-static"]))
endef
# Go is needed only until the cluster's programs are built; they are kept in the user's cache folder.
define READY
import sys
from tests.cluster import build, errors, go_programs, requirements
try:
    requirements.check(go=build.cached() is None or go_programs.missing())
except errors.ClusterError as error:
    sys.exit(str(error))
endef
export MISSING READY

.PHONY: help
help: ## Show these commands.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

.PHONY: demo
demo: .venv/.demo ## Expose your cluster on loopback, or a stand-in where there is none (STANDIN=1 forces it).
	@$(if $(STANDIN),DEMO_STANDIN=$(STANDIN)) $(BIN)/python -m demo

.PHONY: test
test: root .venv/.dev system programs ## Everything: what `check` looks at, then all tests, with a real cluster (root, Go).
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest

.PHONY: check
check: lint ## Style, types, layers, unit and golden tests: under a minute.
	$(BIN)/python -m pytest $(wildcard tests/unit tests/golden)

.PHONY: lint
lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: .venv/.bench bench-system ## Measure beside HAProxy, Envoy, nginx, kubectl proxy (ONLY=small-get,idle ROUNDS=3 PEERS=kubegate,seed).
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(PEERS),--peers $(PEERS))

.PHONY: soak
soak: .venv/.dev ## Ten minutes of changes, kills and renewals under load; nothing may be lost or left (SECONDS=600).
	@$(BIN)/python -m bench.soak $(SECONDS)

.PHONY: scale
scale: .venv/.dev bench-system ## How a gate with 1,000 clusters starts and changes, and what it costs (CLUSTERS=1000).
	@$(BIN)/python -m bench.scale $(CLUSTERS)

.PHONY: lock
lock: .venv/.dev ## Write the lock files anew from pyproject.toml (UPGRADE=1: with the newest versions).
	$(COMPILE) --extra demo --extra dev --output-file requirements/dev.lock pyproject.toml requirements/build.in
	$(COMPILE) --extra demo --constraints requirements/dev.lock --output-file requirements/demo.lock \
		pyproject.toml requirements/build.in
	$(COMPILE) --extra demo --extra dev --extra bench --constraints requirements/dev.lock --output-file requirements/bench.lock \
		pyproject.toml requirements/build.in
	@! grep -n '://' requirements/*.lock || { echo "A lock file names a host."; exit 1; }

.PHONY: cluster-up
cluster-up: root .venv/.dev system ## Start the test cluster and keep it (CLUSTER=second: the other one).
	@$(BIN)/python -m tests.cluster up $(CLUSTER)

.PHONY: cluster-down
cluster-down: root .venv/.dev ## Remove every trace of the test clusters.
	@$(BIN)/python -m tests.cluster down $(CLUSTER)

.PHONY: clean
clean: ## Remove what these commands made in this folder.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: root
root:
	@[ "$$(id -u)" -eq 0 ] || { echo "The test cluster needs root (sudo make test); make check needs no root."; exit 1; }

.PHONY: system
system: .venv/.dev
	@missing=$$($(BIN)/python -c "$$MISSING"); \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null; then \
		echo "Installing for the test cluster: $$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	fi
	@$(BIN)/python -c "$$READY"

# Before the tests, none of which may take as long as this does once.
.PHONY: programs
programs: .venv/.dev system
	@$(BIN)/python -m tests.cluster build

.PHONY: bench-system
bench-system:
	@missing=$$(for pair in nginx:nginx h2load:nghttp2-client; do \
		PATH=$$PATH:/usr/sbin command -v $${pair%:*} >/dev/null || printf '%s ' $${pair#*:}; done); \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null; then \
		echo "Installing for the measurements: $$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	fi

# A program that is found need not run: the shims of version managers may know no version. So each is asked.
.venv/bin/python:
	@for python in $(PYTHONS); do \
		"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && found=$$python && break; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Python 3.11 or newer with its venv module is needed (Debian: apt-get install python3-venv);"; \
		echo "make PYTHON=/path/to/python3 names one."; exit 1; \
	fi; \
	echo "Making .venv with $$("$$found" --version)"; "$$found" -m venv --clear .venv

.venv/.demo: requirements/demo.lock pyproject.toml | .venv/bin/python
	@echo "Installing what the demo needs into .venv"
	@$(PIP) install --no-compile --require-hashes --requirement requirements/demo.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.bench: requirements/bench.lock | .venv/.dev
	@echo "Installing what the measurements need into .venv"
	@$(PIP) install --no-compile --require-hashes --requirement requirements/bench.lock
	@touch $@

.venv/.dev: requirements/dev.lock pyproject.toml | .venv/bin/python
	@echo "Installing what development needs into .venv"
	@$(PIP) install --no-compile --require-hashes --requirement requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ .venv/.demo
