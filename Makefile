# Two commands on a fresh machine do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo docs report test check lint test-fast test-slow faults fuzz soak test-pythons test-arm test-arm-full bundle-pi bundle-jetson test-bundle clean

help:
	@echo "make demo          set up, convert the trained model, verify it, read plates, write demo/report.html"
	@echo "make docs          build the documentation into build/site, with every link checked"
	@echo "make report        both models, all artifacts: accuracy and times here, in build/report/report.html (some minutes;"
	@echo "                   make report FULL=1: thousands of images, hours)"
	@echo "make test          set up, run the tests: five minutes on two cores"
	@echo "make test-fast     the tests that need no TensorFlow: a minute on two cores"
	@echo "make check         lint, types, import rules, tests; .ci/run runs the slow tests, other Pythons and boards as well"
	@echo "make test-slow     what takes minutes: every network of the zoo, in every recipe"
	@echo "make faults        lets every file operation of convert, serve-folder, calibrate and the caches fail in turn: half an hour"
	@echo "make fuzz          damaged images, artifacts, specs, models and labels, 233,000 in all: an hour"
	@echo "make soak          a million readings, ten thousand openings, a day of the service in an hour: nothing grows"
	@echo "make test-pythons  the runtime's tests on every other Python that is installed"
	@echo "make test-arm      the wheel on an emulated Raspberry Pi, where that can be had; make test-arm-full: all of it"
	@echo "make bundle-pi     one tar in dist/ that installs on a Raspberry Pi without a network; make bundle-jetson: on a Jetson"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.convert: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[convert]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.convert $(VENV)/.demo $(VENV)/.docs $(VENV)/.report

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[convert,docs,train]'
	@touch $@ $(VENV)/.convert $(VENV)/.demo

# Without --quiet, which would hide the warnings that strict mode turns into errors.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "build/site/index.html"

# 500 samples cannot show the gate; with 600 more plates, which take seconds to render, they can.
demo/plates: | $(VENV)/.demo
	@mkdir -p demo && rm -rf demo/rendered
	$(BIN)/edge-crnn synth -o demo/rendered -n 600 --seed 401 --preset mild
	@mv demo/rendered demo/plates

demo: $(VENV)/.demo demo/plates
	$(BIN)/edge-crnn convert models/plates.keras --recipe int8 --calibration samples/calibration \
	    --labelled samples/plates --labelled demo/plates -o demo/plates-int8.tflite --images-are 'rendered plates' \
	    --page demo/report.html --strict
	$(BIN)/edge-crnn read --model demo/plates-int8.tflite samples/plates > demo/readings.tsv
	@head -n 5 demo/readings.tsv
	@echo "… $$(wc -l < demo/readings.tsv) plates in demo/readings.tsv, the verification in demo/report.html"
	@echo "pass: the int8 model reads the same text as the trained model"

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[convert,train]'
	@touch $@ $(VENV)/.convert

$(VENV)/.report: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[convert,onnx,train]'
	@touch $@ $(VENV)/.convert $(VENV)/.demo

report: $(VENV)/.report
	$(BIN)/python -m benchmarks.report $(if $(FULL),--full)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile -p no:benchmark

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile -p no:benchmark -p tests.fast

lint: $(VENV)/.dev docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -p no:benchmark -m slow --hypothesis-profile whole tests

faults: $(VENV)/.dev
	FAULTS_MOST=1000000 $(BIN)/python -m pytest -p no:benchmark -m slow -s tests/faults

fuzz: $(VENV)/.dev
	FUZZ=full $(BIN)/python -m pytest -p no:benchmark -m slow -s tests/fuzz

soak: $(VENV)/.dev
	SOAK=full $(BIN)/python -m pytest -p no:benchmark -m slow -s tests/soak

test-pythons:
	tests/pythons.sh

test-arm: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --maxschedchunk 1 -p no:benchmark -m arm tests/arm

test-arm-full: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --maxschedchunk 1 -p no:benchmark -m arm_full tests/arm/test_arm.py
	$(BIN)/python -m pytest -p no:benchmark -m arm_full tests/arm/test_instructions.py

dist/digits-int8.tflite: models/digits.keras models/digits.keras.json | $(VENV)/.convert
	@mkdir -p $(@D)
	$(BIN)/edge-crnn convert $< --recipe int8 --calibration samples/lines-calibration --labelled samples/lines -o $@

dist/plates.onnx: models/plates.keras models/plates.keras.json | $(VENV)/.convert
	@mkdir -p $(@D)
	$(PIP) -e '.[onnx]'
	$(BIN)/edge-crnn convert $< --to onnx --recipe float16 --labelled samples/plates -o $@

# The plate model for CPUs is in the wheel.
bundle-pi: dist/digits-int8.tflite
	$(BIN)/python -m bundle.make raspberry-pi --model dist/digits-int8.tflite -o dist

bundle-jetson: dist/digits-int8.tflite dist/plates.onnx
	$(BIN)/python -m bundle.make jetson --model dist/digits-int8.tflite --model dist/plates.onnx -o dist

# Some 25 minutes; with one in 25 samples, ten: make test-bundle EVERY=25
EVERY ?= 1
test-bundle: bundle-pi
	for each in 'bookworm cortex-a72' 'trixie cortex-a76'; do \
	    PYTHON=$(abspath $(BIN)/python) tests/bundle/on_arm.sh \
	        "$$(ls -t dist/*-raspberry-pi.tar | head -n 1)" $$each $(EVERY) || exit 1; \
	done

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
