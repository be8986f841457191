# `make help` lists what there is.  Every target makes the .venv it needs by itself.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where Python may not keep bytecode, each process of the tests compiles the project anew: a second each.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
FOLDERS := controller engine policytests schemas servers
# The editable install links the files there are, so a new file needs a new install: the stamp's
# name is a digest of the list of files and of pyproject.toml.
STAMP := .venv/.installed-$(shell { find $(FOLDERS) -type f -not -path '*/__pycache__/*' -not -path 'policytests/cases/*' | LC_ALL=C sort; cat pyproject.toml; } | cksum | cut -d' ' -f1)
APT_PACKAGES := docker-registry skopeo nginx
PROGRAMS := .programs
# How many processes `make test` runs tests in: a number, or auto for one a core.
PROCESSES ?= auto
# What `make quick` runs; --pure has a test fail that starts a process or uses a socket.
PURE := $(addprefix tests/,engine schemas controller/planning servers/configuration servers/signing \
  $(addprefix policytests/,analysis execution suites tokens))

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; say which with make PYTHON=/path/to/python3" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo 'making .venv'
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@rm -rf build/__editable__.* .venv/.installed-*
	@log=$$(mktemp); $(BIN)/python -m pip install --editable ".[all]" --group dev >"$$log" 2>&1 || { cat "$$log" >&2; rm -f "$$log"; exit 1; }; rm -f "$$log"
	@touch $@

.PHONY: install
install: $(STAMP) ## make .venv with everything for working on the project

.PHONY: registry
registry: # Debian's registry and client, where root can install them; elsewhere the tests say what is missing
	@if ! { command -v docker-registry && command -v skopeo && command -v nginx; } >/dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $(APT_PACKAGES)"; \
	    log=$$(mktemp); \
	    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $(APT_PACKAGES); } >"$$log" 2>&1 \
	      || { tail -n 5 "$$log" >&2; echo "could not install $(APT_PACKAGES)" >&2; }; \
	    rm -f "$$log"; \
	  else echo "without $(APT_PACKAGES); to install them: apt-get install $(APT_PACKAGES)"; fi; fi

.PHONY: programs
programs: $(STAMP) ## get the other registries and clients that tests run when they are there
	@$(BIN)/python -m tests.e2e.fetch_programs $(PROGRAMS)

.PHONY: demo
demo: $(STAMP) registry ## test the reference policies, then exchange a JWT and push an image with it
	@$(BIN)/python deploy/demo/demo.py

.PHONY: test
test: $(STAMP) registry ## run all tests
	@# One seed of hashes for all processes: they must name the same tests.
	@PYTHONHASHSEED=$$RANDOM PATH="$(CURDIR)/$(PROGRAMS)/bin:$$PATH" $(BIN)/python -m pytest -q --numprocesses $(PROCESSES) --dist loadfile tests
	@$(BIN)/policytest policytests/cases

.PHONY: quick
quick: $(STAMP) ## run the pure tests: no process, no socket, no generated input
	@$(BIN)/python -m pytest -q --pure -m 'not e2e and not fuzz and not slow' $(PURE)

.PHONY: watch
watch: $(STAMP) ## run the pure tests after each change of a file
	@$(BIN)/watchmedo shell-command --recursive --drop --wait --patterns '*.py;*.json;*.yaml;*.txt' \
	  --ignore-patterns '*/.*;*/__pycache__/*' --command '$(MAKE) --no-print-directory quick' $(FOLDERS) tests

.PHONY: fuzz
fuzz: $(STAMP) ## run the tests on all generated input, and on for FUZZ_SECONDS (default 600) from a new seed
	@export SEED=$${SEED:-$$RANDOM} FUZZ_SECONDS=$${FUZZ_SECONDS:-600}; echo "SEED=$$SEED"; $(BIN)/python -m pytest -q tests -m fuzz

.PHONY: test-kube
test-kube: $(STAMP) ## run the tests that ask a real kube-apiserver; outages, which mostly wait, beside the others
	@[ -x "$${KUBEBUILDER_ASSETS:-}/kube-apiserver" ] && [ -x "$${KUBEBUILDER_ASSETS:-}/etcd" ] || { \
	  echo "KUBEBUILDER_ASSETS must name a folder with kube-apiserver and etcd.  With Go, fetched:" >&2; \
	  echo '  eval "$$(go run sigs.k8s.io/controller-runtime/tools/setup-envtest@latest use -p env)"' >&2; \
	  echo "or built from the Go module proxy, in some minutes:" >&2; \
	  echo "  $(BIN)/python tests/controller/build_kube_apiserver.py build/kube v1.36.3 && export KUBEBUILDER_ASSETS=\$$PWD/build/kube" >&2; exit 1; }
	@$(MAKE) --no-print-directory --jobs=3 kube-servers kube-pulls kube-outage

.PHONY: kube-servers kube-pulls kube-outage
kube-servers:
	@PATH="$(CURDIR)/$(PROGRAMS)/bin:$$PATH" $(BIN)/python -m pytest -q -m kube tests/controller tests/deploy/test_cluster.py
kube-pulls:
	@PATH="$(CURDIR)/$(PROGRAMS)/bin:$$PATH" $(BIN)/python -m pytest -q tests/e2e/test_pull_secret.py tests/e2e/test_moving.py
kube-outage:
	@PATH="$(CURDIR)/$(PROGRAMS)/bin:$$PATH" $(BIN)/python -m pytest -q tests/e2e/test_outage.py

.PHONY: check
check: $(STAMP) ## lint, format, types, imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo | tail -n 4

.PHONY: bench
bench: $(STAMP) ## measure, as ratios within one run
	@for each in bench/bench_*.py bench/instructions.py; do echo "== $$each"; $(BIN)/python "$$each"; done

.PHONY: soak
soak: $(STAMP) ## run two controllers through outages, kills and clock jumps for SOAK_SECONDS (default 1800)
	@$(BIN)/python bench/soak/soak_controller.py $${SOAK_SECONDS:-1800}

.PHONY: docs
docs: $(STAMP) ## build the documentation's site in site/, warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: picture
picture: $(STAMP) ## write the rooms and the walks of docs/architecture.md as they are; needs Graphviz
	@$(BIN)/python docs/rooms.py
	@$(BIN)/python -m pytest -q --golden-update tests/house/test_walks.py

.PHONY: dist
dist: $(STAMP) ## build dist/: the sdist, then the wheel from it, both checked; with uv where it is
	@rm -rf dist
	@if command -v uv >/dev/null; then uv build --quiet --out-dir dist .; else $(BIN)/python -m build --outdir dist . >/dev/null; fi
	@$(BIN)/twine check --strict dist/*

.PHONY: sbom
sbom: $(STAMP) ## write build/sbom/: the bill of materials of the wheel in dist/ with everything it can bring
	@rm -rf build/sbom && mkdir -p build/sbom
	@# An environment of its own: what it brings would make each import of jsonschema take seconds.
	@$(PYTHON) -m venv build/sbom/tool
	@$(BIN)/python -m pip --python build/sbom/tool/bin/python install --quiet 'cyclonedx-bom>=7'
	@$(PYTHON) -m venv build/sbom/venv
	@$(BIN)/python -m pip --python build/sbom/venv/bin/python install --quiet "$$(echo dist/*.whl)[all]"
	@$(BIN)/python -m pip --python build/sbom/venv/bin/python uninstall --quiet --yes pip setuptools
	@build/sbom/tool/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom/jwt-registry-auth.cdx.json build/sbom/venv/bin/python
	@rm -rf build/sbom/venv build/sbom/tool

.PHONY: lock
lock: $(STAMP) ## write deploy/requirements/: the packages of each image with their hashes
	@$(BIN)/python -m pip install --quiet uv
	@lock="$(BIN)/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-annotate --no-header --no-emit-index-url $(LOCK_OPTIONS)"; \
	$$lock --extra policytest --output-file deploy/requirements/policytest.txt pyproject.toml; \
	$$lock --extra postgresql --extra otel --extra granian --output-file deploy/requirements/servers.txt pyproject.toml; \
	$$lock --extra controller --output-file deploy/requirements/controller.txt pyproject.toml; \
	echo 'setuptools>=80' | $$lock --output-file deploy/requirements/build.txt -

.PHONY: clean
clean: ## remove what the targets made
	rm -rf .venv $(PROGRAMS) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
