#!/usr/bin/env bash
# Fetches a stock Debian kernel, without installing it, into images/build/kernels/NAME.
#
# usage: images/fetch-kernel.sh NAME [PACKAGE]
#
#   6.1-amd64              Debian 12's kernel: the default guest
#   6.1-cloud-amd64        the same for clouds: no SD card, NVMe built in
#   6.1-cloud-amd64-dbg    adds vmlinux with DWARF to 6.1-cloud-amd64 (283 MB to fetch, 590 MB on disk)
#   6.1-rt-amd64           the same with PREEMPT_RT
#   6.12-amd64             the newer kernel of Debian 12's security suite
#   5.10-amd64, 7.2-amd64  Debian 11's kernel and the one of Debian 13's backports
#
# NAME gets vmlinuz, config, release (what uname -r says) and modules/ (what lies in /lib/modules/RELEASE).
# PACKAGE asks for one kernel, such as linux-image-6.12.107+deb12-amd64, instead of the newest under that name.
# What is there already is not fetched again; so a directory laid by hand makes any other kernel known.
#
# The packages come through an apt root of the project's own (images/build/apt), so that every host gets the same
# kernels and the host's sources stay as they are. Signatures are checked with Debian's keyring; the mirrors are
# those of the host's own sources where it has any.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

name=${1:-}
target=$build_dir/kernels/${name%-dbg}
image_is_there() { [ -f "$target/vmlinuz" ] && [ -f "$target/release" ] && [ -d "$target/modules" ]; }
if [ -n "$name" ] && image_is_there && { [ "${name%-dbg}" = "$name" ] || [ -f "$target/vmlinux" ]; }; then exit 0; fi

case $name in
  --help|-h) manual; exit 0 ;;
  5.10-amd64) suite=bullseye meta=linux-image-amd64 ;;
  6.1-amd64) suite=bookworm meta=linux-image-amd64 ;;
  6.1-cloud-amd64|6.1-cloud-amd64-dbg) suite=bookworm meta=linux-image-cloud-amd64 ;;
  6.1-rt-amd64) suite=bookworm meta=linux-image-rt-amd64 ;;
  6.12-amd64) suite=bookworm meta=linux-image-6.12-amd64 ;;
  7.2-amd64) suite=trixie-backports meta=linux-image-amd64 ;;
  '') die "no kernel named" "images/fetch-kernel.sh --help" 2 ;;
  *) die "no kernel is known as \"$name\"" "images/fetch-kernel.sh --help" 2 ;;
esac
wanted_package=${2:-}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt_root=$build_dir/apt/$suite
work=

# mirror LABEL DEFAULT: the host's own mirror of that archive, or the default.
mirror() {
  local found
  # shellcheck disable=SC2016
  found=$(apt-get indextargets --format '$(REPO_URI)' "Label: $1" 'Created-By: Packages' 2>/dev/null | sed -n 1p)
  echo "${found:-$2}"
}

# Writes the sources of the private apt root.
lay_apt_root() {
  local base=${suite%-backports} debian security
  debian=$(mirror Debian http://deb.debian.org/debian)
  security=$(mirror Debian-Security http://deb.debian.org/debian-security)
  mkdir -p "$apt_root"/{lists,cache}/partial
  : >"$apt_root/status"
  {
    echo "deb [signed-by=$keyring] $debian $suite main"
    [ "$suite" != "$base" ] || echo "deb [signed-by=$keyring] $security $base-security main"
  } >"$apt_root/sources.list"
}

# private COMMAND ARGUMENT...: an apt command in the private root.
private() {
  local command=$1
  shift
  "$command" -q -o Dir::State="$apt_root" -o Dir::State::lists="$apt_root/lists" -o Dir::State::status="$apt_root/status" \
    -o Dir::Cache="$apt_root/cache" -o Dir::Etc::sourcelist="$apt_root/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::Etc::preferences=- -o Dir::Etc::preferencesparts=- -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}

read_lists() {
  lay_apt_root
  say "reading the package lists of $suite into $apt_root"
  private apt-get -o APT::Update::Error-Mode=any update >"$work/log" 2>&1 ||
    die "the package lists of Debian $suite cannot be read: $(grep -m 1 '^[EW]:' "$work/log" || tail -n 1 "$work/log")" \
      "check the network; the lists come from: $(cut -d ' ' -f 3 "$apt_root/sources.list" | tr '\n' ' ')"
}

# Prints what a package depends on and whose name begins as given, newest first.
depends() { { private apt-cache depends "$1" 2>/dev/null || true; } | sed -n "s/^ *Depends: \($2.*\)$/\1/p" | sort -Vr; }

# unpack PACKAGE[=VERSION]: fetches one package and unpacks it to $work/tree.
unpack() {
  say "fetching $1"
  (cd "$work" && private apt-get download "$1" >log 2>&1) ||
    die "$1 cannot be fetched: $(grep -m 1 '^E:' "$work/log" || tail -n 1 "$work/log")" "check the network and the space on disk"
  dpkg-deb -x "$work"/*.deb "$work/tree"
  rm "$work"/*.deb
}

fetch_image() {
  local package release part
  package=${wanted_package:-$(depends "$meta" 'linux-image-[0-9]' | sed -n 1p)}
  [ -n "$package" ] || die "Debian $suite has no $meta" "see images/build/apt/$suite/sources.list"
  unpack "$package"
  # From 7.x on the image package is an empty one that depends on the parts.
  for part in $(depends "$package" 'linux-\(binary\|modules\|base\)-[0-9]'); do unpack "$part"; done
  release=${package#linux-image-}
  mkdir -p "$work/kernel"
  mv "$(find "$work/tree" -type f -name 'vmlinuz*' | sed -n 1p)" "$work/kernel/vmlinuz"
  mv "$(find "$work/tree" -type f -name "config-$release" -o -type f -path '*/modules/*/config' | sed -n 1p)" "$work/kernel/config"
  mv "$(find "$work/tree" -type d -path "*lib/modules/$release")" "$work/kernel/modules"
  echo "$release" >"$work/kernel/release"
  rm -rf "$target"
  mv "$work/kernel" "$target"
}

fetch_debug_image() {
  local release version
  release=$(cat "$target/release")
  # The banner in the header of the bzImage ends in: Debian VERSION (DATE).
  version=$(strings -n 20 "$target/vmlinuz" | sed -n 's/^'"$release"' .* Debian \([^ ]*\) (.*/\1/p' | sed -n 1p)
  unpack "linux-image-$release-dbg=$version"
  mv "$work/tree/usr/lib/debug/boot/vmlinux-$release" "$target/vmlinux"
}

command -v apt-get >/dev/null || die "Debian's kernels are fetched by apt, and this system has none" \
  "unpack the package by hand into $target (see images/README.md)"
[ -f "$keyring" ] || die "Debian's keyring $keyring is missing" "scripts/setup.sh"

mkdir -p "$build_dir/kernels"
# On the same file system as the target: the last step is then one rename, and nobody sees half a kernel.
work=$(mktemp -d "$build_dir/kernels/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
read_lists
if ! image_is_there; then fetch_image; fi
if [ "${name%-dbg}" != "$name" ]; then fetch_debug_image; fi
say "$name is $(cat "$target/release"), in $target"
