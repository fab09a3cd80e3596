#!/usr/bin/env bash
# Boots a Linux guest under QEMU and traces it from outside; sets up and builds first what is missing.
#
# usage: scripts/run-qemu.sh --trace FILE [bzImage [rootfs.img]] [--guest NAME] [RECORD OPTION...] [-- QEMU ARGUMENT...]
#
#   scripts/run-qemu.sh --trace out.bin                              the project's own guest, workload mix
#   scripts/run-qemu.sh --trace out.bin --guest 6.12-amd64 --smp 2   the same on another kernel of images/fetch-kernel.sh
#   scripts/run-qemu.sh --trace out.bin bzImage                      your kernel, the project's workload in an initramfs
#   scripts/run-qemu.sh --trace out.bin bzImage rootfs.img           your kernel and root file system (never written to)
#
# Every other option goes to `guesttrace record` (guesttrace record --help), whose exit status this script has:
# 0 guest and recording ended well, 1 guest failed, 2 usage, 3 incomplete recording or set-up failed, 4 time-out.
# An image named after an option that takes no value must follow a "--option=value" or come first.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

guest=6.1-amd64 trace=''
images=() options=() qemu_arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --help|-h) manual; exit 0 ;;
    --trace|--guest|--kernel|--rootfs) needs_value "$1" $# ;;&
    --trace) trace=$2; shift ;;
    --trace=*) trace=${1#*=} ;;
    --guest) guest=$2; shift ;;
    --guest=*) guest=${1#*=} ;;
    --kernel) images[0]=$2; shift ;;
    --rootfs) images[1]=$2; shift ;;
    --) shift; qemu_arguments=(-- "$@"); break ;;
    --*=*|--no-*|--keep-*|--audit-*|--require-*|--children|--dry-run|--quiet|-q) options+=("$1") ;;
    --on) needs_value "$1 WHEN" $(($# - 1)); options+=("$1" "$2" "$3"); shift 2 ;;
    --*) needs_value "$1" $#; options+=("$1" "$2"); shift ;;
    *) images+=("$1") ;;
  esac
  shift
done
[ -n "$trace" ] || die "no file named for the trace" "scripts/run-qemu.sh --trace out.bin" 2
[ ${#images[@]} -le 2 ] || die "more than a kernel and a root file system: ${images[*]}" "scripts/run-qemu.sh --help" 2
[ ${#images[@]} -eq 0 ] || [ -n "${images[0]:-}" ] || die "a root file system is named, but no kernel" "name both: bzImage rootfs.img" 2
for image in "${images[@]}"; do
  [ -r "$image" ] || die "there is no file \"$image\" to read" "scripts/run-qemu.sh --help" 2
done

"$project_dir/scripts/setup.sh" --for run --quiet
# Speaks up only when building takes long.
{ sleep 3 >/dev/null 2>&1 && say "building guesttrace (some minutes the first time)"; } &
reminder=$!
disown "$reminder"
trap 'kill "$reminder" 2>/dev/null || true' EXIT
use_program
kill "$reminder" 2>/dev/null || true
trap - EXIT

# lay_guest NAME: the project's guest of that kernel, with the tools that workload and tracer need.
lay_guest() {
  local with='' tools=()
  case " ${options[*]} " in *" --workload compile "*|*" --workload=compile "*) with=+compiler tools+=(--with compiler) ;; esac
  case " ${options[*]} " in
    *" --native trace-cmd "*|*" --native=trace-cmd "*) with+=+trace-cmd tools+=(--with trace-cmd) ;;
    *" --native perf "*|*" --native=perf "*) with+=+perf tools+=(--with perf) ;;
  esac
  guest_dir=$build_dir/guest/$1$with
  "$project_dir/images/build.sh" --kernel "$1" "${tools[@]}"
  disk=$(cat "$guest_dir/disk")
  modules=$build_dir/kernels/$1/modules
}

case ${#images[@]} in
  0)
    lay_guest "$guest"
    machine=(--kernel "$build_dir/kernels/$guest/vmlinuz" --modules "$modules" --boot pvh
      --initrd "$guest_dir/initrd.cpio" --disk "$disk" --workload mix)
    [ "$disk" = initramfs ] || machine+=(--rootfs "$guest_dir/rootfs.img") ;;
  1)
    # No module of ours fits a kernel of yours, so nothing but the initramfs is used.
    lay_guest "$guest"
    machine=(--kernel "${images[0]}" --initrd "$guest_dir/initrd.cpio" --disk initramfs --workload mix) ;;
  2)
    # Distributions build the drivers of the reproducible disk as modules: `record` makes an initial ramdisk of those.
    machine=(--kernel "${images[0]}" --rootfs "${images[1]}") ;;
esac

# What the command line names wins over what was chosen above.
arguments=()
for ((i = 0; i < ${#machine[@]}; i += 2)); do
  case " ${options[*]} " in
    *" ${machine[i]} "*|*" ${machine[i]}="*) ;;
    *) arguments+=("${machine[@]:i:2}") ;;
  esac
done
exec "$program" record --trace "$trace" "${arguments[@]}" \
  "${options[@]}" "${qemu_arguments[@]}"
