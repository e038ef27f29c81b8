# The two commands: `make demo` and `make test`. Everything they need is set up on the way.
PYTHON ?= python3
BOOTSTRAP = $(PYTHON) tools/bootstrap.py
VENV = .venv/bin

# Ways into open-webui and versions of it, from patches/open-webui/versions.json: plugin-0.12.4.
editions = $(shell $(PYTHON) tools/preparation/editions.py $(1))
# The interpreter of edition $(1): .venv-webui/0.12.4-plugin/bin/python.
way = $(firstword $(subst -, ,$(1)))
version = $(lastword $(subst -, ,$(1)))
webui-python = $(CURDIR)/.venv-webui/$(call version,$(1))-$(call way,$(1))/bin/python

# The browser tests of edition $(1), with options $(2), as tools/side_by_side.py takes them.
e2e-of = $(1)='env CCZOO_EDITION=$(1) CCZOO_WEBUI_PYTHON=$(call webui-python,$(1)) \
	$(VENV)/pytest tests/e2e $(2)'

.PHONY: help demo test test-versions test-kernel test-trustee test-intel lint unit conformance native \
	installer check-patches test-newest web wheel release e2e screenshots bench fuzz soak setup-dev setup-test clean
.DELETE_ON_ERROR:
# Suites share servers' ports, caches and two cores: one after the other, also under `make -j`.
.NOTPARALLEL:

help:
	@echo "make demo   open-webui with a badge, a local model and a simulated TD"
	@echo "            PLUGIN=1 adds the kit to a stock one: nothing is rebuilt"
	@echo "make test   every test, browser ones included"
	@echo "make lint | unit | conformance | native | installer | web | e2e   parts of it"
	@echo "make test-versions   the browser suite in full on every supported open-webui"
	@echo "make check-patches   every patch and anchor of every version, its place in a browser included"
	@echo "make test-newest   the newest open-webui as a package: which anchors, hooks and tests hold"
	@echo "make test-kernel   the C core on a real kernel in QEMU (Debian only)"
	@echo "make test-trustee   a real attestation service, given as TRUSTEE_AS=/path/to/restful-as"
	@echo "make test-intel   Intel's quote verification library, given as QVL_CHECK=/path/to/program"
	@echo "make wheel  the kit's wheel, with the page's bundle inside: out/wheel"
	@echo "make release   that wheel and what may run, signed: out/release (KEY=/path/to/key.pem)"
	@echo "make fuzz   every parser, and the page against Python, for FUZZ_SECONDS (300) each"
	@echo "make soak   100,000 quotes with random faults, a start killed at every step (minutes)"
	@echo "make bench  the figures, each against a baseline of the same run"
	@echo "make screenshots   pictures of the page in all sizes, looks and languages: out/screenshots"
	@echo "make clean  remove what these made in the checkout (the cache folder stays)"

setup-dev:
	@$(BOOTSTRAP) system-build dev

setup-test:
	@$(BOOTSTRAP) privileges node system-test dev web wheel-tools wheel webui model

# From a checkout, the plug-in way needs Node.js only where the page's bundle is not built yet.
demo:
	@$(BOOTSTRAP) $(if $(filter 1,$(PLUGIN)),,node) system-build dev --before-demo
	@exec $(VENV)/python tools/demo.py

wheel:
	@$(BOOTSTRAP) system-build wheel
	@ls out/wheel/*.whl

# What policies may take from this version; the key stays where it is, outside of the checkout.
release: wheel
	@test -n "$(KEY)" || { echo "give KEY=/path/to/key.pem"; exit 2; }
	@$(BOOTSTRAP) dev
	$(VENV)/python tools/release.py --key "$(KEY)" $(if $(SERIAL),--serial "$(SERIAL)") \
		$(if $(DAYS),--days "$(DAYS)")

test: setup-test
	@$(MAKE) --no-print-directory lint
	@$(BOOTSTRAP) system-unit system-build node web page
	@$(VENV)/python tools/side_by_side.py installer='$(VENV)/pytest tests/installer' \
		native='$(VENV)/pytest tests/native tests/fuzz' \
		unit='$(MAKE) --no-print-directory unit' page='$(MAKE) --no-print-directory conformance web'
	@$(MAKE) --no-print-directory e2e

lint: setup-dev
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
# mypy finds packages by their import names, which for these two are not their folders' names.
	@mkdir -p out/types
	@ln -sfn "$(CURDIR)/installer" out/types/cczoo_installer
	@ln -sfn "$(CURDIR)/verifier" out/types/cczoo_verifier
	MYPYPATH=backend:tools:out/types $(VENV)/mypy
	$(VENV)/lint-imports --no-logo

unit:
	@$(BOOTSTRAP) system-unit dev
	$(VENV)/pytest tests/unit

# A real attestation service, in place of the likenesses that `make unit` asks the same of.
test-trustee: setup-dev
	@test -x "$(TRUSTEE_AS)" || { echo "give TRUSTEE_AS=/path/to/restful-as"; exit 2; }
	TRUSTEE_AS="$(abspath $(TRUSTEE_AS))" $(VENV)/pytest tests/unit/test_trustee_contract.py

# Both verifiers on the same cases; the page's needs node and esbuild, as its own tests do.
conformance:
	@$(BOOTSTRAP) system-build dev node web
	$(VENV)/pytest tests/conformance

# The same cases through Intel's library, in a program that docs/verification.md describes.
test-intel: setup-dev
	@test -x "$(QVL_CHECK)" || { echo "give QVL_CHECK=/path/to/program"; exit 2; }
	$(VENV)/python tests/intel/run.py "$(abspath $(QVL_CHECK))"

test-kernel:
	@$(BOOTSTRAP) system-kernel dev
	$(VENV)/python tests/native/kernel/run.py

native: setup-test
	$(VENV)/pytest tests/native tests/fuzz

installer: setup-test
	$(VENV)/pytest tests/installer

# Every patch and anchor of every version: what files tell, then where a browser sees the places.
check-patches: setup-test
	$(VENV)/python tools/check_patches.py
	@$(VENV)/python tools/side_by_side.py $(foreach name,$(call editions,all),$(call e2e-of,$(name),\
		-m smoke -k test_places))

# Outside of `make test`: what the package index has today is no fact of a commit.
test-newest: setup-test
	$(VENV)/python tools/newest.py $(if $(VERSION),--version $(VERSION))

web:
	@$(BOOTSTRAP) node web page
	cd web && npm run --silent check && npm run --silent test

# In full what a new user gets, the newest version of each way; of the others a look.
e2e: setup-test
	@$(VENV)/python tools/side_by_side.py \
		$(foreach name,$(call editions,full),$(call e2e-of,$(name))) \
		$(foreach name,$(call editions,smoke),$(call e2e-of,$(name),-m smoke))

# And what takes minutes and 4 GB: the front end is built in two folders, to the same bytes.
test-versions: setup-test
	@CCZOO_EVERY_TEST=1 $(MAKE) --no-print-directory $(addprefix e2e/,$(call editions,all))
	CCZOO_BUILD_TWICE=1 $(VENV)/pytest tests/installer -k elsewhere

e2e/%: setup-test
	CCZOO_EDITION=$* CCZOO_WEBUI_PYTHON="$(call webui-python,$*)" $(VENV)/pytest tests/e2e

smoke/%: setup-test
	CCZOO_EDITION=$* CCZOO_WEBUI_PYTHON="$(call webui-python,$*)" $(VENV)/pytest tests/e2e -m smoke

# To be looked at; no suite makes them.
screenshots: setup-test
	@$(BOOTSTRAP) system-pictures
	@$(MAKE) --no-print-directory $(addprefix screenshots/,$(call editions,full))

screenshots/%: setup-test
	CCZOO_EDITION=$* CCZOO_WEBUI_PYTHON="$(call webui-python,$*)" $(VENV)/pytest tests/e2e/pictures.py

FUZZ_SECONDS ?= 300

fuzz:
	@$(BOOTSTRAP) system-fuzz dev node web
	$(VENV)/python tests/fuzz/fuzzing.py --seconds $(FUZZ_SECONDS)
	cd web && FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$$(date +%Y%m%d) npx --no-install vitest run test/fuzz

soak:
	@$(BOOTSTRAP) privileges system-test dev
	$(VENV)/python tests/native/soak.py
	CCZOO_EVERY_STEP=1 $(VENV)/pytest tests/native/test_measured_start.py

bench: setup-test
	@$(BOOTSTRAP) bench
	$(VENV)/python tools/bench.py

clean:
	rm -rf .venv .venv-webui .venv-model out build web/dist web/node_modules tests/bench/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache *.egg-info quote_generator/native/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
