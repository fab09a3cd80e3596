#!/usr/bin/env bash
# Traces a guest as a user who has neither root nor any of QEMU's packages: makes one, and removes it again.
#
# usage: scripts/as-user.sh [--debian-13] [--tests]   (as root)
#
#   --debian-13   in a Debian 13 of its own, which mmdebstrap makes and which is removed with the user
#   --tests       run tests that boot guests as that user, too; they are built by root before, with the cargo that root has
#
# The user gets guesttrace's tarball, unpacks QEMU and the other programs with the `setup.sh --user` in there, even those
# that this machine has, asks `guesttrace doctor`, fetches a kernel, builds guests, records and looks at the trace. Only
# tests need a copy of this checkout. Prints a line for each step and exits 1 at the first that fails.

set -euo pipefail
# shellcheck source=scripts/apt.sh
. "$(dirname "$0")/apt.sh"

tests=no debian13=no
while [ $# -gt 0 ]; do
  case $1 in
    --debian-13) debian13=yes ;;
    --tests) tests=yes ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || die "only root can make a user" "run scripts/as-user.sh as root" 2

user=guesttrace-$$
work=$(mktemp -d)
home=$work/home
# What runs as the user sees this as the root of all files. The home lies at the same path in each, as tests know where they
# were built.
root=/
remove_user() {
  if [ "$root" != / ]; then umount "$root/dev/pts" "$root/proc" "$root$home" 2>/dev/null || true; fi
  userdel "$user" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap remove_user EXIT
chmod 755 "$work"
useradd --create-home --home-dir "$home" --shell /bin/bash "$user"
if [ "$debian13" = yes ]; then
  command -v mmdebstrap >/dev/null || die "mmdebstrap, which makes the Debian 13, is missing" "apt-get install mmdebstrap"
  root=$work/root
  of_root=("${root_packages[@]}")
  # The tests' debugger.
  [ "$tests" = no ] || of_root+=(gdb python3)
  say "making a Debian 13"
  mmdebstrap --quiet --variant=apt --include="$(IFS=,; echo "${of_root[*]}")" trixie "$root" \
    "deb $(mirror Debian http://deb.debian.org/debian) trixie main" \
    "deb $(mirror Debian-Security http://deb.debian.org/debian-security) trixie-security main" ||
    die "a Debian 13 cannot be made" "see mmdebstrap's messages above"
  getent passwd "$user" >>"$root/etc/passwd"
  getent group "$user" >>"$root/etc/group"
  cp --remove-destination /etc/resolv.conf /etc/hosts "$root/etc/"
  mkdir -p "$root$home"
  { mount --bind "$home" "$root$home" && mount -t proc proc "$root/proc" && mount --bind /dev/pts "$root/dev/pts"; } ||
    die "this machine forbids to mount" "scripts/as-user.sh without --debian-13"
fi

cd "$project_dir"
tarball=$(scripts/package.sh --out "$work" | sed -n 1p)
tar -C "$home" -xf "$tarball"
mv "$home"/guesttrace-* "$home/guesttrace"

# What the tests hold the program to, in the user's own checkout: tests know where they were built.
suites=(truth survival goto ci labs images)
kernels=(6.1-amd64 6.1-cloud-amd64 6.12-amd64)
if [ "$tests" = yes ]; then
  mkdir -p "$home/checkout/images/build/kernels"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$home/checkout"
  for kernel in "${kernels[@]}"; do
    images/fetch-kernel.sh "$kernel"
    cp -rL "$build_dir/kernels/$kernel" "$home/checkout/images/build/kernels/"
  done
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

here=$home
# as_user STEP COMMAND...: in the user's own environment, which knows no cargo.
as_user() {
  local step=$1 start=$SECONDS
  shift
  chroot --userspec="$user" "$root" env -i --chdir="$here" HOME="$home" USER="$user" LANG=C.UTF-8 \
    PATH="$home/guesttrace/bin:/usr/bin:/bin" "$@" >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2; die "$step: failed as $user" "$*" 1; }
  echo "$step: $((SECONDS - start)) s"
}

installed=$home/guesttrace/share/guesttrace
as_user "set-up" "$installed/scripts/setup.sh" --user --even-installed
as_user "doctor" guesttrace doctor
grep -q "$home/.local/share/guesttrace/bin/qemu-system-x86_64" "$work/log" || die "not the QEMU of the user" "guesttrace doctor" 1
as_user "recording" "$installed/scripts/run-qemu.sh" --trace out.bin --quiet
as_user "report" guesttrace report summary out.bin
as_user "verification" guesttrace verify out.bin
as_user "suite" guesttrace ci run "$home/guesttrace/share/doc/guesttrace/docs/ci/suite.toml"
as_user "image of Debian's packages" guesttrace image build debian

[ "$tests" = yes ] || exit 0
here=$home/checkout
for kernel in "${kernels[@]}"; do as_user "guest $kernel" images/build.sh --kernel "$kernel"; done
# Kills at every moment take longest, and are the same for everybody.
too_long=(--skip killed_at_any_moment)
for suite in "${suites[@]}"; do
  built=$(sed -n "s|.*Executable .*(\(target/release/deps/$suite-[0-9a-f]*\))|\1|p" "$work/built")
  as_user "test $suite" env GUESTTRACE_E2E=1 GUESTTRACE_SKIP_LOG="$home/skipped" "$built" "${too_long[@]}"
  sed -n 's/^test result: //p' "$work/log"
done
[ ! -s "$home/skipped" ] || sed 's/^/skipped: /' "$home/skipped"
