#!/usr/bin/env bash
# Builds the guest: an initramfs with the modules of one kernel, and a root file system with the workloads.
#
# usage: images/build.sh [--kernel NAME] [--modules DIR] [--with TOOL]... [--out DIR]
#
#   --kernel NAME   a kernel of images/fetch-kernel.sh, which is fetched if it is not there (default 6.1-amd64)
#   --modules DIR   the kernel's modules, such as /lib/modules/RELEASE, for a kernel that is not to be fetched
#   --with TOOL     a program of this host with the libraries it is linked with, such as trace-cmd, or "compiler": gcc and
#                   what it needs to build our own programs, for the workload compile
#   --out DIR       where initrd.cpio and rootfs.img go (default images/build/guest/NAME, with +TOOL behind it)
#
# This is `guesttrace image build guest`, which does the work; the program is built first where it is not up to date.
# Does nothing when what it would build is newer than all that goes into it.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

kernel=6.1-amd64 modules='' out='' tools=()
while [ $# -gt 0 ]; do
  case $1 in
    --kernel) needs_value "$1" $#; kernel=$2; shift ;;
    --modules) needs_value "$1" $#; modules=$2; shift ;;
    --with) needs_value "$1" $#; tools+=("$2"); shift ;;
    --out) needs_value "$1" $#; out=$2; shift ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done
images=$project_dir/images
out=${out:-$build_dir/guest/$kernel$(printf '%s' "${tools[@]/#/+}")}
if [ -z "$modules" ]; then
  "$images/fetch-kernel.sh" "$kernel"
  modules=$build_dir/kernels/$kernel/modules
fi
[ -f "$modules/modules.builtin" ] || die "$modules holds no modules of a kernel" "images/build.sh --help" 2

is_fresh() {
  local file builder=$images/src
  # An installation has the program instead of its sources.
  [ -d "$builder" ] || builder=$(command -v guesttrace) || return 1
  for file in rootfs.img calls yield disk initrd.cpio; do [ -f "$out/$file" ] || return 1; done
  [ -z "$(find "$images"/{build.sh,stage-guest.sh,recipes,guest,programs,workloads} "$builder" "$modules/modules.builtin" \
    -newercm "$out/initrd.cpio" -print -quit)" ]
}

if is_fresh; then exit 0; fi
say "building the guest for $kernel in $out"
use_program
GUESTTRACE_IMAGES=$images exec "$program" image build guest \
  --modules "$modules" "${tools[@]/#/--with=}" --out "$out" --quiet
