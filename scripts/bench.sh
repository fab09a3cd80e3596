#!/usr/bin/env bash
# Measures what tracing costs and prints it as Markdown for docs/performance.md.
#
# usage: scripts/bench.sh [--pairs N] [--guest NAME] >measured.md
#
#   --pairs N      untraced and traced runs, taken in turn (default 15)
#   --guest NAME   the guest (default 6.1-amd64)
#
# Cost is user CPU time: wall time depends on what else the host does. Each pair ran one after the other, so what the
# host does to one it does to both; the spread over the pairs is printed with every mean.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

pairs=15 guest=6.1-amd64
while [ $# -gt 0 ]; do
  case $1 in
    --pairs) needs_value "$1" $#; pairs=$2; shift ;;
    --guest) needs_value "$1" $#; guest=$2; shift ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

cd "$project_dir"
use_cargo || die "no cargo is new enough" "scripts/setup.sh"
cargo build --quiet --release
images/build.sh --kernel "$guest"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program=${CARGO_TARGET_DIR:-target}/release/guesttrace
kernel=$build_dir/kernels/$guest/vmlinuz
guest_dir=$build_dir/guest/$guest
# As scripts/run-qemu.sh calls it, without the time that script takes.
record=("$program" record --trace "$work/trace" --kernel "$kernel" --boot pvh --workload mix
  --initrd "$guest_dir/initrd.cpio" --rootfs "$guest_dir/rootfs.img" --disk "$(cat "$guest_dir/disk")")

# seconds FORMAT COMMAND...: prints the user (%U) or wall (%R) seconds that a command took.
seconds() {
  local TIMEFORMAT=$1
  shift
  { time "$@" >"$work/log" 2>&1; } 2>"$work/time" || die "$* failed: $(tail -n 1 "$work/log")"
  cat "$work/time"
}

# Reads numbers, one a line; prints mean, standard deviation and extremes.
spread() {
  awk '{ n++; sum += $1; squares += $1 * $1; if (n == 1 || $1 < least) least = $1; if (n == 1 || $1 > most) most = $1 }
    END { mean = sum / n; variance = squares / n - mean * mean
          printf "%.2f ± %.2f (%.2f to %.2f, n = %d)", mean, sqrt(variance > 0 ? variance : 0), least, most, n }'
}

say "one run of each kind to warm up"
seconds '' "${record[@]}" --no-plugin
seconds '' "${record[@]}"
for ((pair = 1; pair <= pairs; pair++)); do
  say "pair $pair of $pairs"
  untraced=$(seconds '%U %R' "${record[@]}" --no-plugin)
  traced=$(seconds '%U %R' "${record[@]}")
  echo "$untraced $traced"
done >"$work/pairs"

events=$("$program" events "$work/trace" --format json | wc -l)
bytes=$(stat -c %s "$work/trace")
traced_wall=$(awk '{ sum += $4 } END { print sum / NR }' "$work/pairs")
plan_image=$(seconds %R "$program" plan --kernel "$kernel")

echo "Measured on $(date -u +%F) at commit $(git rev-parse --short HEAD), $(nproc) host CPUs, $(qemu-system-x86_64 --version | sed -n 1p),"
echo "guest $guest, workload \`mix\`, deterministic clock, default events."
echo
echo "| what | measured |"
echo "|---|---|"
echo "| user CPU seconds, untraced | $(awk '{ print $1 }' "$work/pairs" | spread) |"
echo "| user CPU seconds, traced | $(awk '{ print $3 }' "$work/pairs" | spread) |"
echo "| cost of tracing, percent of user CPU, pair by pair | $(awk '{ print ($3 / $1 - 1) * 100 }' "$work/pairs" | spread) |"
echo "| wall seconds, untraced | $(awk '{ print $2 }' "$work/pairs" | spread) |"
echo "| wall seconds, traced (the default run) | $(awk '{ print $4 }' "$work/pairs" | spread) |"
echo "| events | $events |"
echo "| events per wall second | $(awk "BEGIN { printf \"%.0f\", $events / $traced_wall }") |"
echo "| bytes per event in the file | $(awk "BEGIN { printf \"%.1f\", $bytes / $events }") |"
echo "| wall seconds to plan from the bzImage | $plan_image |"

debug_image=$build_dir/kernels/6.1-cloud-amd64
if [ -f "$debug_image/vmlinux" ]; then
  # A cache directory of its own makes the first preparation a first one.
  prepare=(env XDG_CACHE_HOME="$work/cache" "$program" record --dry-run --trace "$work/unused"
    --kernel "$debug_image/vmlinuz" --vmlinux "$debug_image/vmlinux" --initrd "$guest_dir/initrd.cpio")
  mkdir "$work/cache"
  prepared_seconds() { "${prepare[@]}" 2>&1 >/dev/null | sed -n 's/.*prepared in \(.*\) s$/\1/p'; }
  prepare_first=$(prepared_seconds)
  prepare_cached=$(prepared_seconds)
  echo "| seconds to prepare a recording with a vmlinux with DWARF ($(($(stat -c %s "$debug_image/vmlinux") / 1000000)) MB), first time | $prepare_first |"
  echo "| the same, cached | $prepare_cached |"
fi
