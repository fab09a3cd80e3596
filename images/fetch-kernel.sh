#!/usr/bin/env bash
# Fetches a stock Debian kernel, without installing it, into images/build/kernels/NAME.
#
# usage: images/fetch-kernel.sh NAME
#
#   6.1-amd64                       a name of images/kernels.txt, which `guesttrace image list` shows
#   6.1-cloud-amd64-dbg             adds vmlinux with DWARF to 6.1-cloud-amd64 (283 MB to fetch, 590 MB on disk)
#   linux-image-6.12.107+deb12-amd64[=VERSION][/SUITE]
#                                   that package of Debian's archive (suite: bookworm unless said)
#
# NAME gets vmlinuz, config, release (what uname -r says) and modules/ (what lies in /lib/modules/RELEASE).
# What is there already is not fetched again; so a directory laid by hand makes any other kernel known.
#
# The packages come through an apt root of the project's own (scripts/apt.sh), so that every host gets the same kernels.

set -euo pipefail
# shellcheck source=scripts/apt.sh
. "$(dirname "$0")/../scripts/apt.sh"

name=${1:-}
case $name in
  --help|-h) manual; exit 0 ;;
  '') die "no kernel named" "images/fetch-kernel.sh --help" 2 ;;
esac
# A package's suite goes into the name of its directory.
name=${name//\//_}
target=$build_dir/kernels/${name%-dbg}
image_is_there() { [ -f "$target/vmlinuz" ] && [ -f "$target/release" ] && [ -d "$target/modules" ]; }
if image_is_there && { [ "${name%-dbg}" = "$name" ] || [ -f "$target/vmlinux" ]; }; then exit 0; fi

wanted_package='' meta=''
case $name in
  linux-image-*_*) suite=${name#*_} wanted_package=${name%%_*} ;;
  linux-image-*) suite=bookworm wanted_package=$name ;;
  *)
    read -r suite meta < <(awk -v name="${name%-dbg}" '$1 == name { print $2, $3 }' "$project_dir/images/kernels.txt") ||
      die "no kernel is known as \"$name\"" "images/fetch-kernel.sh --help" 2 ;;
esac
work=

fetch_image() {
  local package release part
  package=${wanted_package:-$(depends "$meta" 'linux-image-[0-9]' | sed -n 1p)}
  [ -n "$package" ] || die "Debian $suite has no $meta" "see images/build/apt/$suite/sources.list"
  unpack "$package"
  # From 7.x on the image package is an empty one that depends on the parts.
  package=${package%=*}
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

mkdir -p "$build_dir/kernels"
# On the same file system as the target: the last step is then one rename, and nobody sees half a kernel.
work=$(mktemp -d "$build_dir/kernels/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
open_apt_root "$suite"
if ! image_is_there; then fetch_image; fi
if [ "${name%-dbg}" != "$name" ]; then fetch_debug_image; fi
say "$name is $(cat "$target/release"), in $target"
