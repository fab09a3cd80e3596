#!/usr/bin/env bash
# Traces a guest as a user who has neither root nor any of QEMU's packages: makes one, and removes it again.
#
# usage: scripts/as-user.sh [--tests]   (as root)
#
#   --tests   run tests that boot guests as that user, too; they are built by root before, with the cargo that root has
#
# The user gets guesttrace's tarball and a copy of this checkout, unpacks QEMU and the other programs with
# `scripts/setup.sh --user`, even those that this machine has, asks `guesttrace doctor`, builds the guest, records it and
# looks at the trace. Prints a line for each step and exits 1 at the first that fails.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

tests=no
while [ $# -gt 0 ]; do
  case $1 in
    --tests) tests=yes ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || die "only root can make a user" "run scripts/as-user.sh as root" 2

guest=6.1-amd64
# Those that the tests boot besides.
kernels=("$guest")
[ "$tests" = no ] || kernels+=(6.1-cloud-amd64 6.12-amd64)
user=guesttrace-$$
work=$(mktemp -d)
home=$work/home
# What the user started is not to outlive it.
remove_user() {
  userdel "$user" 2>/dev/null || true
  rm -rf "$work"
}
trap remove_user EXIT
chmod 755 "$work"
useradd --create-home --home-dir "$home" --shell /bin/bash "$user"

cd "$project_dir"
tarball=$(scripts/package.sh --out "$work" | sed -n 1p)
mkdir -p "$home/checkout/images/build/kernels"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$home/checkout"
for kernel in "${kernels[@]}"; do
  images/fetch-kernel.sh "$kernel"
  cp -rL "$build_dir/kernels/$kernel" "$home/checkout/images/build/kernels/"
done
tar -C "$home" -xf "$tarball"
mv "$home"/guesttrace-* "$home/guesttrace"

# What the tests hold the program to, in the user's own checkout: tests know where they were built.
suites=(truth survival goto ci labs images)
if [ "$tests" = yes ]; then
  use_cargo || die "no cargo is new enough" "scripts/setup.sh"
  say "building the tests"
  unset CARGO_TARGET_DIR
  # The crates that others wrote are not built again.
  [ ! -d target/release ] || { mkdir -p "$home/checkout/target" && cp -a target/release "$home/checkout/target/"; }
  (cd "$home/checkout" && cargo build --quiet --workspace --release &&
    cargo test --release --no-run -p guesttrace-tests "${suites[@]/#/--test=}") 2>"$work/built" ||
    { tail -n 20 "$work/built" >&2; die "the tests cannot be built"; }
fi
chown -R "$user": "$home"

# as_user STEP COMMAND...: in the user's own environment, which knows no cargo.
as_user() {
  local step=$1 start=$SECONDS
  shift
  (cd "$home/checkout" && runuser -u "$user" -- env -i HOME="$home" USER="$user" LANG=C.UTF-8 \
    PATH="$home/guesttrace/bin:/usr/bin:/bin" "$@") >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2; die "$step: failed as $user" "$*" 1; }
  echo "$step: $((SECONDS - start)) s"
}

as_user "set-up" scripts/setup.sh --user --even-installed
as_user "doctor" guesttrace doctor
grep -q "$home/.local/share/guesttrace/bin/qemu-system-x86_64" "$work/log" || die "not the QEMU of the user" "guesttrace doctor" 1
for kernel in "${kernels[@]}"; do as_user "guest $kernel" images/build.sh --kernel "$kernel"; done
as_user "recording" scripts/run-qemu.sh --trace "$home/out.bin" --quiet
as_user "report" guesttrace report summary "$home/out.bin"
as_user "verification" guesttrace verify "$home/out.bin"

[ "$tests" = yes ] || exit 0
# Kills at every moment take longest, and are the same for everybody.
too_long=(--skip killed_at_any_moment)
for suite in "${suites[@]}"; do
  built=$(sed -n "s|.*Executable .*(\(target/release/deps/$suite-[0-9a-f]*\))|\1|p" "$work/built")
  as_user "test $suite" env GUESTTRACE_E2E=1 GUESTTRACE_SKIP_LOG="$home/skipped" "$built" "${too_long[@]}"
  sed -n 's/^test result: //p' "$work/log"
done
[ ! -s "$home/skipped" ] || sed 's/^/skipped: /' "$home/skipped"
