#!/usr/bin/env bash
# Checks the whole project: style, lints, and every test, those that boot guests included.
#
# usage: scripts/test.sh [--no-guests]
#
#   --no-guests   leave out the tests that boot guests
#
# Installs the tools that tests compare with, fetches the kernels and builds the guests first. Takes about half an hour
# on two cores. Everything is built in the release profile, so that each crate is compiled once.
# A test that cannot run says why and is counted; one that nobody expected to be skipped fails the whole.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

guests=yes
while [ $# -gt 0 ]; do
  case $1 in
    --no-guests) guests=no ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

# The sample traces of other tracers lie beside the project and are not part of it. The oldest and newest kernels are
# fetched by the soak test. A container may forbid to mount: disks without room are then tested by limits alone.
expected_skips='foreign sample trace|kernel (5.10|7.2)-amd64 was not fetched|mounting a small file system is not permitted|DuckDB cannot be had'

# step NAME COMMAND ARGUMENT...: says how long the command took; ends the run when it fails.
step() {
  local name=$1 start=$SECONDS
  shift
  say "$name ..."
  "$@" || die "$name failed" "run it alone: $*" 1
  say "$name: $((SECONDS - start)) s"
}

lint_scripts() {
  shellcheck -x scripts/*.sh images/*.sh .ci/run &&
    shellcheck -s sh images/guest/* images/workloads/*
}

# The kernels that tests use, and the guests for those that are booted.
lay_guests() {
  local kernel tool
  for kernel in 6.1-amd64 6.1-cloud-amd64 6.12-amd64; do images/build.sh --kernel "$kernel" || return; done
  images/build.sh --with compiler || return
  for tool in trace-cmd perf; do images/build.sh --with "$tool" || return; done
  images/fetch-kernel.sh 6.1-cloud-amd64-dbg
}

# A trace of a guest, for tests of what reads and exports traces: $1.
record_trace() { scripts/run-qemu.sh --trace "$1" --serial "$1.console" --quiet; }

# The query engine is built once, unoptimised: clippy's compiler makes our own crate of it and finds what is not clean.
test_sql() {
  cargo fmt --manifest-path sql/Cargo.toml --all --check || return
  RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS='-Dwarnings' \
    cargo test --quiet --manifest-path sql/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}" --no-fail-fast
}

# The page's modules as a compiler sees them; with guests also the page in Chromium, beside what the command line says.
test_page() {
  npm ci --silent --prefix tests/browser || return
  tests/browser/node_modules/.bin/tsc -p view/web || return
  [ "$guests" = no ] || node --test tests/browser
}

# The examples for CI services, by the schemas of those.
lint_examples() {
  local venv=${CARGO_TARGET_DIR:-target}/venv-examples
  if [ ! -x "$venv/bin/check-jsonschema" ]; then
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check check-jsonschema || return
  fi
  "$venv/bin/check-jsonschema" --builtin-schema vendor.github-workflows docs/ci/github.yml &&
    "$venv/bin/check-jsonschema" --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci docs/ci/gitlab-ci.yml
}

cd "$project_dir"
step "set-up" scripts/setup.sh --for test --quiet
use_cargo
step "build" cargo build --quiet --workspace --release
step "guests" lay_guests
step "scripts" lint_scripts
step "examples" lint_examples
step "format" cargo fmt --all --check
step "lints" cargo clippy --quiet --workspace --all-targets --release -- -D warnings

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GUESTTRACE_SKIP_LOG=$work/skipped
touch "$GUESTTRACE_SKIP_LOG"
if [ "$guests" = yes ]; then
  export GUESTTRACE_E2E=1 GUESTTRACE_EXPORT_TRACE=$work/trace.bin
  step "trace" record_trace "$GUESTTRACE_EXPORT_TRACE"
else
  expected_skips="$expected_skips|GUESTTRACE_E2E|GUESTTRACE_EXPORT_TRACE"
fi
step "tests" cargo test --quiet --workspace --release --no-fail-fast
step "page" test_page
step "SQL" test_sql

say "$(wc -l <"$GUESTTRACE_SKIP_LOG") tests skipped, $SECONDS s in all"
if grep -vE "$expected_skips" "$GUESTTRACE_SKIP_LOG" >&2; then
  die "the tests above were skipped, and nobody expected that" "each line says what was missing" 1
fi
