# `make help` lists what can be made.
.PHONY: help test ci instances clients clients-gui crash bench bench-ical fuzz
.DEFAULT_GOAL := help

N ?= 200
SEED ?= 1
T ?= text
SECONDS ?= 600
# What libFuzzer follows, by options that the stable compiler has.
SANCOV = -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

test: ## the tests of the package (set CALGATE_TEST_POSTGRES=postgres://… to run them on PostgreSQL too)
	cargo test

ci: ## everything that must hold before a change is taken
	.ci/run

instances: ## the instances in fixtures/ical against another engine
	"$$(python3 tests/clients/environment.py)" tests/oracle/instances.py

clients: ## real servers and clients against the debug binary, and other people's test suites (tests/clients/deviations)
	cargo build --bin calgate
	python3 tests/clients/run.py --calgate target/debug/calgate --seed $(SEED)
	python3 tests/clients/conformance.py --calgate target/debug/calgate

clients-gui: ## Thunderbird and evolution-data-server, unattended (tests/clients/gui.py says which packages)
	cargo build --bin calgate
	python3 tests/clients/gui.py --calgate target/debug/calgate

crash: ## a long crash loop: make crash N=200 SEED=7
	cargo build --release --bin calgate
	python3 tests/clients/run.py --calgate target/release/calgate --only crash --rounds $(N) --seed $(SEED)

bench: ## the figures of docs/performance.md, in some ten to twenty minutes
	cargo build --release --package calgate --package bench --bin calgate --bin bench
	target/release/bench --calgate target/release/calgate --python "$$(python3 tests/clients/environment.py)"

bench-ical: ## calendar data beside other engines (libical: apt-get install libical-dev)
	cargo build --release --package bench --bin ical
	cc -O2 -o target/release/libical-peer tests/bench/peers/libical.c -lical
	target/release/ical --libical target/release/libical-peer --python "$$(python3 tests/clients/environment.py)"

fuzz: ## libFuzzer on one target: make fuzz T=text SECONDS=600 (rules, zones, filters, jcal, changes)
	mkdir -p target/fuzz/$(T)
	cd tests/fuzz && T=$(T) CARGO_TARGET_DIR=../../target/fuzz/build RUSTFLAGS="$(SANCOV)" \
	  cargo run --release --target "$$(rustc -vV | sed -n "s/^host: //p")" -- \
	  ../../target/fuzz/$(T) ../../fixtures/ical ../../fixtures/ical/damaged \
	  -max_total_time=$(SECONDS) -timeout=5 -rss_limit_mb=1024 -max_len=8192 -artifact_prefix=../../target/fuzz/
