# The two commands: `make demo` and `make test`. Everything they need is set up on the way.
PYTHON ?= python3
BOOTSTRAP = $(PYTHON) tools/bootstrap.py
VENV = .venv/bin

.PHONY: help demo test test-kernel lint unit conformance native installer web e2e bench fuzz soak setup-dev setup-test clean
.DELETE_ON_ERROR:

help:
	@echo "make demo   a patched open-webui with a local model and a simulated TD"
	@echo "make test   every test, browser ones included"
	@echo "make lint | unit | conformance | native | installer | web | e2e   parts of it"
	@echo "make test-kernel   the C core on a real kernel in QEMU (Debian only)"
	@echo "make fuzz   every parser for FUZZ_SECONDS (300) each"
	@echo "make soak   100,000 quotes with random faults (a minute or two)"
	@echo "make bench  the figures, each against a baseline of the same run"
	@echo "make clean  remove what these made in the checkout (the cache folder stays)"

setup-dev:
	@$(BOOTSTRAP) system-build dev

setup-test:
	@$(BOOTSTRAP) privileges node system-test dev web webui model

demo:
	@$(BOOTSTRAP) node system-build dev webui
	@exec $(VENV)/python tools/demo.py

test: setup-test
	@$(MAKE) --no-print-directory lint unit conformance native web installer e2e

lint: setup-dev
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
# mypy finds packages by their import names, which for these two are not their folders' names.
	@mkdir -p out/types
	@ln -sfn "$(CURDIR)/installer" out/types/cczoo_installer
	@ln -sfn "$(CURDIR)/verifier" out/types/cczoo_verifier
	MYPYPATH=out/types $(VENV)/mypy

unit: setup-dev
	$(VENV)/pytest tests/unit

# Both verifiers on the same cases; the page's needs node and esbuild, as its own tests do.
conformance:
	@$(BOOTSTRAP) system-build dev node web
	$(VENV)/pytest tests/conformance

test-kernel:
	@$(BOOTSTRAP) system-kernel dev
	$(VENV)/python tests/native/kernel/run.py

native: setup-test
	$(VENV)/pytest tests/native tests/fuzz

installer: setup-test
	$(VENV)/pytest tests/installer

web:
	@$(BOOTSTRAP) node web
	cd tests/web && npm run --silent check && npm run --silent test

e2e: setup-test
	CCZOO_WEBUI_PYTHON="$(CURDIR)/.venv-webui/bin/python" $(VENV)/pytest tests/e2e

FUZZ_SECONDS ?= 300

fuzz:
	@$(BOOTSTRAP) system-fuzz dev
	$(VENV)/python tests/fuzz/fuzzing.py --seconds $(FUZZ_SECONDS)

soak:
	@$(BOOTSTRAP) privileges system-test dev
	$(VENV)/python tests/native/soak.py

bench: setup-test
	@$(BOOTSTRAP) bench
	$(VENV)/python tools/bench.py

clean:
	rm -rf .venv .venv-webui .venv-model .venv.lock .venv-webui.lock .npm-web.lock .npm-bench.lock out tests/web/node_modules tests/bench/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
