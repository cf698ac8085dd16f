# Two commands on a fresh Debian machine with Rust: `make demo` builds the real recipes, `make test` passes the tests.
# Both install the Debian packages that they need (as root) and are quick when everything is there.

# uv, where tests/setup put it; a machine that has its own may name that.
export LAPSTRAKE_UV ?= $(CURDIR)/testdata/build/uv/bin/uv

LAPSTRAKE := target/x86_64-unknown-linux-gnu/release/lapstrake

.PHONY: demo test lint deny fuzz clean

# Builds lapstrake, and every recipe into ./lapstrake-out, as it is locked; what has left the mirror since is locked again.
demo:
	tests/setup demo
	cargo build --locked --release
	$(MAKE) testdata/build/hello/hello
	mkdir -p lapstrake-out
	for recipe in recipes/*.toml; do \
		build="$(LAPSTRAKE) build --locked -f $$recipe -o oci:lapstrake-out/$$(basename $$recipe .toml)"; \
		$$build || { $(LAPSTRAKE) lock --update -f $$recipe && $$build; } || exit 1; \
	done

# Formatting, lints, all tests: the units, the command line, real registries, readers and runtimes.
test: lint
	tests/setup test
	$(MAKE) testdata/build/hello/hello
	cargo test --locked

# What the smallest recipe copies: a static program.
testdata/build/hello/hello: testdata/hello/hello.c
	mkdir -p $(@D)
	gcc -static -Os -s -Wl,--build-id=none -o $@ $<

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

# Licences, sources, advisories and doubled versions of dependencies. Wants cargo-deny.
deny:
	cargo deny check

# A short run of every fuzzer; `fuzz/run SECONDS` makes longer ones of what was built. Wants cargo-fuzz and a nightly toolchain.
fuzz:
	cd fuzz && cargo +nightly fuzz build --sanitizer none
	fuzz/run 20

clean:
	rm -rf lapstrake-out testdata/build
	cargo clean
