# `make help` lists what can be made.
.PHONY: help test ci instances clients crash bench
.DEFAULT_GOAL := help

N ?= 200
SEED ?= 1

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

test: ## the tests of the package (set CALGATE_TEST_POSTGRES=postgres://… to run them on PostgreSQL too)
	cargo test

ci: ## everything that must hold before a change is taken
	.ci/run

instances: ## the instances in fixtures/ical against another engine
	"$$(python3 tests/clients/environment.py)" tests/oracle/instances.py

clients: ## real servers and clients against the debug binary: Radicale, Xandikos, vdirsyncer, python-caldav
	cargo build --bin calgate
	python3 tests/clients/run.py --calgate target/debug/calgate --seed $(SEED)

crash: ## a long crash loop: make crash N=200 SEED=7
	cargo build --release --bin calgate
	python3 tests/clients/run.py --calgate target/release/calgate --only crash --rounds $(N) --seed $(SEED)

bench: ## the figures of docs/performance.md, in under ten minutes
	cargo build --release --package calgate --package bench --bin calgate --bin bench
	target/release/bench --calgate target/release/calgate --python "$$(python3 tests/clients/environment.py)"
