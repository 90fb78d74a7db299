# The one door: people and CI use the same targets.
#
#   make demo    ten terminals of a retail chain, updated before your eyes
#   make test    every test
#   make sim     worlds of chance: SEED=17 for one again, otherwise fresh ones for a minute
#   make sim-ci  as CI plays them: a fixed range of seeds, and fresh ones; SECS=
#   make sim-long  the same on all cores until stopped (or for SECS=), with what was reached
#   make sim-teeth  known mistakes, made on purpose: each has to be noticed; BUG=MaxPerHostForgotten for one
#   make chaos   real processes and sockets, killed, held, cut off: SEED=, SECS= (120); root for a small disk
#   make api     a running server held against its own OpenAPI document, by schemathesis (PyPI): SEED=, EXAMPLES=
#   make fuzz    bytes made up for whatever strangers write to: SECS= for each target (60), TARGET= for one
#   make check   format, lints, what may depend on what, licenses
#   make bench   speed against peers (hours are not needed, minutes are)
#   make bench-server  the server: readers of events, queries, restart, upload (some minutes; 12 GB below TMPDIR)
#   make bench-gate  how often gates stop healthy rollouts, and how late bad ones (docs/gates.md); seconds
#   make bless   accept what operators now read as the new golden text (core/tests/scripts, insta)
#
# Set-up is done by the targets themselves: Debian packages by apt when root, a clear message
# otherwise. Everything else comes with the Rust toolchain named in rust-toolchain.toml.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: api demo test fuzz sim sim-ci sim-long sim-teeth chaos check check-core bench bench-server bench-gate bless setup-build setup-bench

SERVER_BENCHES := readers query restart upload

demo: setup-build
	cargo run --quiet --release --package groundswell -- demo

test: setup-build
	cargo test --workspace

# As docs/simulation.md says; also LOUD=1, FROM= (the first seed), SECS= or WORLDS= (so many), THREADS=, and what a failure says
# that it takes: STEPS= DEVICES= ROLLOUTS= ACTS= FAULTS= (PLANT= fails by itself).
sim: setup-build
	SEED=$(SEED) STEPS=$(STEPS) LOUD=$(LOUD) FROM=$(FROM) RUST_BACKTRACE=0 \
	  SECS=$(or $(SECS),$(if $(WORLDS),,60)) WORLDS=$(WORLDS) THREADS=$(THREADS) \
	  DEVICES=$(DEVICES) ROLLOUTS=$(ROLLOUTS) ACTS=$(ACTS) FAULTS=$(FAULTS) PLANT=$(PLANT) \
	  COMMIT=$$(git rev-parse --short HEAD 2>/dev/null) \
	  cargo test --quiet --release --package groundswell --test it -- \
	  --exact world::runs::explore --nocapture

# What a fixed range finds is found by everybody alike; fresh seeds find what nobody has seen yet.
sim-ci:
	$(MAKE) sim FROM=1 WORLDS=24 SECS= THREADS=$$(nproc)
	$(MAKE) sim SECS=$(or $(SECS),60) THREADS=$$(nproc)

# As docs/simulation.md says. Not in `test`: it runs by the clock and wants the machine for itself.
# Not a release build: its assertions look, too.
chaos: setup-build
	cargo test --quiet --package groundswell --test chaos -- \
	  $(if $(SEED),--seed $(SEED)) --secs $(or $(SECS),120)

# Not through cargo, which an interrupt would end before the worlds have told what they came to.
sim-long: setup-build
	@mkdir -p target/sim
	@binary=$$(cargo test --release --package groundswell --test it --no-run 2>&1 | tee /dev/stderr | \
	  sed -n 's/.*Executable .*(\(.*\))$$/\1/p'); \
	LONG=1 FROM=$(FROM) SECS=$(SECS) STEPS=$(STEPS) THREADS=$(THREADS) RUST_BACKTRACE=0 \
	  FAILURES=$(CURDIR)/target/sim/failures.txt COMMIT=$$(git rev-parse --short HEAD) \
	  exec $$binary --exact world::runs::explore --nocapture

# As docs/simulation.md says; also FROM= (the first seed) and SEEDS= (the most worlds for each).
sim-teeth: setup-build
	BUG=$(BUG) FROM=$(FROM) SEEDS=$(SEEDS) RUST_BACKTRACE=0 \
	  cargo test --quiet --release --package groundswell --features teeth --test it -- \
	  --exact world::teeth::every_known_mistake_is_noticed --nocapture

check: setup-build
	cargo fmt --all --check
	./.ci/tidy
	./.ci/check-core
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --package groundswell --test chaos -- -D warnings
	cargo clippy --package groundswell --features teeth --test it -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	./.ci/check-licenses

bench: setup-build setup-bench
	cargo build --release --package groundswell
	bench/run

# Each is a program of its own, and says what it measures at its head. Those that find less than what is
# wanted end with a failure, once all have run.
bench-server: setup-build
	cargo build --release --package groundswell $(foreach name,$(SERVER_BENCHES),--example $(name))
	failed=; for name in $(SERVER_BENCHES); do \
	  echo "== $$name"; \
	  cargo run --quiet --release --package groundswell --example $$name || failed="$$failed $$name"; \
	done; rm -rf "$${TMPDIR:-/tmp}"/groundswell-bench-*; \
	[ -z "$$failed" ] || { echo "not as wanted:$$failed"; exit 1; }

# Fails if healthy rollouts are stopped more often than promised; draws the picture anew.
bench-gate: setup-build
	cargo run --quiet --release --package groundswell-core --example gate -- --svg docs/gates.svg

api: setup-build
	@./.ci/setup python3:python3 curl:curl
	.ci/api "$(SEED)" $(EXAMPLES)

# As CONTRIBUTING.md says. Not in `test`: that holds the seeds against the same promises.
fuzz: setup-build
	@./.ci/setup g++:g++
	.ci/fuzz $(or $(SECS),60) $(TARGET)

bless: setup-build
	./.ci/bless

setup-build:
	@./.ci/setup cc:gcc cmake:cmake pkg-config:pkg-config git:git

setup-bench:
	@./.ci/setup wrk:wrk iperf3:iperf3 python3:python3
