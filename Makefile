# chaos-proxy: what there is to do. `make` alone lists it; `make test` needs only make and cargo.

CARGO_TARGET_DIR ?= target
RELEASE := $(CARGO_TARGET_DIR)/release/chaos-proxy
STATIC := $(CARGO_TARGET_DIR)/static/chaos-proxy
PREFIX ?= /usr/local
# Twice as many at a time as there are processors: most of their time tests wait.
TEST_THREADS ?= $(shell expr 2 '*' $$(nproc))
export PREFIX DESTDIR

.DEFAULT_GOAL := help
.PHONY: help run check fmt clippy test docs slow bench static reproducible install uninstall dist audit sbom \
	vendor image deploy-check image-test smoke clients metrics \
	http-clients fuzz-build release clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## serve the built-in demo and print what to try
	cargo run --locked --release -- demo

check: fmt clippy test docs ## all that must pass before a push: fmt, clippy, test, docs

fmt: ## is every file formatted?
	cargo fmt --check

clippy: ## lints; a warning fails
	cargo clippy --locked --all-targets -- -D warnings

test: ## every test but the slow ones
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --locked

docs: ## build the documentation; a warning fails
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

slow: ## every test, the slow ones too, optimised
	RUN_SLOW_TESTS=1 cargo test --locked --release

bench: release ## measure against other proxies
	bench/run --binary $(RELEASE)

static: ## the small static binary; prints its size and SHA-256; ARCH=aarch64 for that processor
	scripts/static

reproducible: static ## build it once more in another folder: is it the same?
	scripts/reproducible $(STATIC)

install: static ## put it, its man page, completions and systemd unit under PREFIX (default: /usr/local)
	scripts/install $(STATIC)

uninstall: ## take them away again
	scripts/install --remove

dist: ## write the completions and the man page anew, after the table of options has changed
	UPDATE_DIST=1 cargo test --locked --quiet --test it dist_is

audit: ## the crates in the binary, their lines, the unsafe ones; then cargo deny, where it is
	scripts/audit

sbom: ## what is in the binary, as CycloneDX, and the texts of all licences
	scripts/sbom $(CARGO_TARGET_DIR)/sbom

vendor: ## the sources of all crates into vendor/, to build where there is no registry
	scripts/vendor

image: static ## the image with that binary and nothing else, as TAG (default: chaos-proxy:latest)
	scripts/image $(STATIC) $(TAG)

deploy-check: $(if $(BINARY),,static) ## do compose, Kubernetes and systemd take what is under deploy/ and dist/?
	scripts/deploy-check $(or $(BINARY),$(STATIC))

image-test: deploy-check ## run the image with podman beside the binary BINARY (default: static), and compare
	tests/image/run $(or $(BINARY),$(STATIC))

smoke: $(if $(BINARY),,release) ## try BINARY (default: a release build) with redis, nginx and curl
	scripts/smoke $(or $(BINARY),$(RELEASE))

clients: $(if $(BINARY),,release) ## try BINARY (default: a release build) with Toxiproxy's real clients
	scripts/clients $(or $(BINARY),$(RELEASE))

metrics: $(if $(BINARY),,release) ## let Prometheus's promtool judge the /metrics of BINARY (default: a release build)
	scripts/metrics $(or $(BINARY),$(RELEASE))

http-clients: $(if $(BINARY),,release) ## try BINARY (default: a release build) with real HTTP clients
	scripts/http-clients $(or $(BINARY),$(RELEASE))

fuzz-build: ## build the fuzz targets, where nightly and cargo-fuzz are
	scripts/fuzz-build

release:
	cargo build --locked --release

clean: ## remove all that was built
	cargo clean
