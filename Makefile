# make run   installs what it needs and shows a camera at work (SOURCE=video-or-folder, CAMERA=/dev/video0, SOUGHT=photos)
# make test  installs what it needs and runs lint, types and tests
# make test-fleet-enrolment  enrols 1,000 cameras at once over TLS, and kills the service in the middle
# make test-fuzz  feeds broken messages to every parser for FUZZ_SECONDS (600)

PYTHON_DIR := .venv
BIN := $(PYTHON_DIR)/bin
RUN_READY := $(PYTHON_DIR)/.ready-demo
TEST_READY := $(PYTHON_DIR)/.ready-dev
INPUTS := pyproject.toml constraints.txt scripts/setup

.PHONY: run test test-fleet-enrolment test-fuzz lint types check bench models clean help

help:
	@sed -n 's/^# //p' Makefile

run: $(RUN_READY)
	@$(BIN)/vidik demo $(if $(SOURCE),--source "$(SOURCE)") $(if $(CAMERA),--source "$(CAMERA)") $(if $(SOUGHT),--sought "$(SOUGHT)")

test: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest

test-fleet-enrolment: $(TEST_READY)
	VIDIK_FLEET=$(or $(VIDIK_FLEET),1000) $(BIN)/pytest tests/faults/test_fleet_enrolment.py -rP

test-fuzz: $(TEST_READY)
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) $(BIN)/pytest tests/fuzz -rP

lint: $(TEST_READY)
	$(BIN)/ruff check .

types: $(TEST_READY)
	$(BIN)/mypy

bench: $(TEST_READY)
	@$(BIN)/python -m models.lab.bench

$(RUN_READY): $(INPUTS)
	@scripts/setup demo
	@touch $@

$(TEST_READY): $(INPUTS)
	@scripts/setup dev
	@touch $@ $(RUN_READY)

clean:
	rm -rf $(PYTHON_DIR) build *.egg-info .mypy_cache .pytest_cache .ruff_cache
