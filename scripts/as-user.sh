#!/usr/bin/env bash
# Traces a guest as a user who has neither root nor any of QEMU's packages: makes one, and removes it again.
#
# usage: scripts/as-user.sh   (as root)
#
# The user gets guesttrace's tarball and a copy of this checkout, unpacks QEMU and the other programs with
# `scripts/setup.sh --user`, even those that this machine has, asks `guesttrace doctor`, builds the guest, records it and
# looks at the trace. Prints a line for each step and exits 1 at the first that fails.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  --help|-h) manual; exit 0 ;;
  '') ;;
  *) unknown_option "$1" ;;
esac
[ "$(id -u)" = 0 ] || die "only root can make a user" "run scripts/as-user.sh as root" 2

guest=6.1-amd64
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
images/fetch-kernel.sh "$guest"
mkdir -p "$home/checkout/images/build/kernels"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$home/checkout"
cp -rL "$build_dir/kernels/$guest" "$home/checkout/images/build/kernels/"
tar -C "$home" -xf "$tarball"
mv "$home"/guesttrace-* "$home/guesttrace"
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
as_user "guest" images/build.sh --kernel "$guest"
as_user "recording" scripts/run-qemu.sh --trace "$home/out.bin" --quiet
as_user "report" guesttrace report summary "$home/out.bin"
as_user "verification" guesttrace verify "$home/out.bin"
