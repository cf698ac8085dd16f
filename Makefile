# Two commands on a fresh Debian machine with Rust: `make demo` builds the real recipes, `make test` passes the tests.
# Both install the Debian packages that they need (as root) and are quick when everything is there.

LAPSTRAKE := target/x86_64-unknown-linux-gnu/release/lapstrake

.PHONY: demo test lint clean

# Builds lapstrake, the archives that the recipes stand on, and every recipe into ./lapstrake-out.
demo:
	tests/setup demo
	cargo build --locked --release
	testdata/bases/make
	mkdir -p lapstrake-out
	for recipe in recipes/*.toml; do \
		$(LAPSTRAKE) build -f $$recipe -o oci:lapstrake-out/$$(basename $$recipe .toml) || exit 1; \
	done

# Formatting, lints, all tests: the units, the command line, real registries, readers and runtimes.
test: lint
	tests/setup test
	testdata/bases/make
	cargo test --locked

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

clean:
	rm -rf lapstrake-out testdata/build
	cargo clean
