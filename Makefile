# make run   installs what it needs and shows a camera at work (SOURCE=video-or-folder, CAMERA=/dev/video0, SOUGHT=photos)
# make test  installs what it needs and runs lint, types and tests
# make bench-uplink  measures throughput, memory and flash wear of the delivery
# make test-faults  strikes the delivery with random faults, in FAULT_RUNS (500) runs
# make test-brokers  also tests RabbitMQ and a NATS cluster, which take minutes (packages rabbitmq-server, nats-server)
# make test-tpm  tests keys in a TPM 2.0, a software one that it installs (swtpm, tpm2-abrmd, tpm2-openssl)
# make test-units  boots systemd in a container and looks from inside what each process can do (as root; minutes)
# make test-node  checks the consumer in Node.js and the AsyncAPI document (nodejs, npm)
# make bench-fleet  simulates 1,000 cameras at a broker that restarts
# make test-sources   installs Debian's GStreamer and runs the source contract on its pipelines and RTSP server
# make test-picamera  runs it on the real picamera2 over libcamera's virtual camera (as root; makes a Debian 13 in build/)
# make test-tflite    runs the runtime's tests on tflite-runtime (Python 3.11)
# make test-browser  sets a camera up in a real browser, from box to report; PICTURES=docs/setup makes the guide's pictures
# make test-soak      runs the pipeline at full speed for SOAK_MINUTES (30): memory and open files must stay flat
# make test-fleet-enrolment  enrols 1,000 cameras at once over TLS, and kills the service in the middle
# make test-raspberry-pi  builds the root of the Raspberry Pi's image as far as Debian's archive goes (as root)
# make deb      builds the camera's Debian packages for amd64 and arm64, in build/
# make wheels   writes the locked lists of a camera's wheels anew, after a change of what it installs (image-build/wheels)
# make audit      looks up what is known against the wheels and, with SBOM=file, Debian packages a camera ships (image-build/audit)
# make image       builds a flashable image, a signed bundle and their lists (ARCH=amd64 or arm64, CHANNEL, VERSION)
# make test-image  starts images in QEMU: enrolment, reports, sandbox, updates, power cuts (amd64), first report (arm64)
# make test-image-long   ten updates and ten rollbacks on one machine
# make test-reproducible builds an image twice and compares
# make test-fuzz  feeds broken messages to every parser for FUZZ_SECONDS (600)

PYTHON_DIR := .venv
BIN := $(PYTHON_DIR)/bin
RUN_READY := $(PYTHON_DIR)/.ready-demo
TEST_READY := $(PYTHON_DIR)/.ready-dev
INPUTS := pyproject.toml constraints.txt scripts/setup

# every target is a task, none a file
.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' Makefile)

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

run: $(RUN_READY)
	@$(BIN)/vidik demo $(if $(SOURCE),--source "$(SOURCE)") $(if $(CAMERA),--source "$(CAMERA)") $(if $(SOUGHT),--sought "$(SOUGHT)")

# three at a time even on two processors: what takes long waits for brokers and clocks
test: $(TEST_READY)
	@command -v systemd-analyze >/dev/null || scripts/test-packages systemd
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 3 --dist loadfile

SERVERS := gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
	gstreamer1.0-plugins-ugly gstreamer1.0-libav gir1.2-gst-rtsp-server-1.0 python3-gi

test-sources: $(TEST_READY)
	scripts/test-packages $(SERVERS)
	$(BIN)/pytest tests/contract/test_source_contract.py $(if $(DEVICE),--device "$(DEVICE)")

test-units: $(TEST_READY)
	scripts/test-packages systemd-container mmdebstrap mosquitto
	VIDIK_TEST_UNITS=1 $(BIN)/pytest tests/units -rP

deb: $(TEST_READY)
	$(BIN)/python image-build/deb amd64
	$(BIN)/python image-build/deb arm64

wheels: $(TEST_READY)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python image-build/wheels/lock

test-picamera:
	scripts/test-picamera

test-raspberry-pi:
	scripts/test-raspberry-pi

test-tflite:
	scripts/test-tflite

# the pictures' typeface is Debian's DejaVu
test-browser: $(TEST_READY)
	scripts/test-packages chromium chromium-driver mosquitto fonts-dejavu-core
	$(if $(PICTURES),PICTURES="$(abspath $(PICTURES))") $(BIN)/pytest tests/browser tests/contract/test_setup_page.py -rP

test-soak: $(TEST_READY)
	$(BIN)/python -m models.lab.bench.soak --minutes $(or $(SOAK_MINUTES),30)

test-fleet-enrolment: $(TEST_READY)
	VIDIK_FLEET=$(or $(VIDIK_FLEET),1000) $(BIN)/pytest tests/faults/test_fleet_enrolment.py -rP

test-fuzz: $(TEST_READY)
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) $(BIN)/pytest tests/fuzz -rP

ARCH ?= amd64

image: $(TEST_READY)
	@scripts/image-packages
	$(BIN)/python image-build/generic/build.py --arch $(ARCH) --compress $(if $(CHANNEL),--channel $(CHANNEL)) $(if $(VERSION),--version $(VERSION)) $(if $(KEYRING),--keyring $(KEYRING))

test-image: $(TEST_READY)
	@scripts/image-packages emulators
	VIDIK_TEST_IMAGE="$(or $(TIERS),amd64 arm64)" $(BIN)/pytest tests/image --capture=sys -x -rA

test-image-long: $(TEST_READY)
	@scripts/image-packages emulators
	VIDIK_TEST_IMAGE=long $(BIN)/pytest tests/image --capture=sys -x -rA

test-reproducible: $(TEST_READY)
	@scripts/image-packages
	$(BIN)/python image-build/generic/compare.py --arch $(ARCH)

test-faults: $(TEST_READY)
	$(BIN)/python -m tests.faults.chaos --runs $(or $(FAULT_RUNS),500) $(if $(FAULT_SEED),--seed $(FAULT_SEED))

# an environment of its own, so that what is looked up is never changed by who looks it up
audit:
	python3 -m venv build/audit-tool
	build/audit-tool/bin/pip install --quiet --disable-pip-version-check 'pip-audit>=2.10,<3'
	build/audit-tool/bin/python image-build/audit $(or $(SBOM),$(wildcard build/image/*.sbom.json))

lint: $(TEST_READY)
	$(BIN)/ruff check .

types: $(TEST_READY)
	$(BIN)/mypy

bench: $(TEST_READY)
	@$(BIN)/python -m models.lab.bench
	@$(BIN)/python -m models.lab.bench.starting

bench-uplink: $(TEST_READY)
	@$(BIN)/python -m models.lab.bench.delivery

bench-fleet: $(TEST_READY)
	@$(BIN)/vidik lab fleet --rate 1200 --png docs/fleet.png

test-brokers: $(TEST_READY)
	VIDIK_TEST_BROKERS=1 $(BIN)/pytest tests/contract/test_access.py tests/contract/test_servers.py tests/faults/test_nats_cluster.py

test-tpm: $(TEST_READY)
	scripts/setup-tpm
	$(BIN)/pytest tests/contract/test_keys.py

test-node: $(TEST_READY)
	cd tests/node && npm install --no-save --ignore-scripts --no-audit --no-fund && npm test
	$(BIN)/pytest tests/node

$(RUN_READY): $(INPUTS)
	@scripts/setup demo
	@touch $@

# Debian's packages that the tests of make test work with
TEST_PACKAGES := chromium chromium-driver rauc squashfs-tools dbus-daemon mosquitto postgresql

$(TEST_READY): $(INPUTS) scripts/test-packages
	@scripts/test-packages $(TEST_PACKAGES)
	@scripts/setup dev
	@touch $@ $(RUN_READY)

clean:
	rm -rf $(PYTHON_DIR) build *.egg-info .mypy_cache .pytest_cache .ruff_cache
