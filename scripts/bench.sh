#!/usr/bin/env bash
# Measures what tracing costs and prints it as Markdown for docs/performance.md.
#
# usage: scripts/bench.sh [--rounds N] [--guest NAME] >measured.md
#
#   --rounds N     rounds of one untraced run and one of each choice of events (default 15)
#   --guest NAME   the guest (default 6.1-amd64)
#
# Cost is user CPU time, guesttrace's own included: wall time depends on what else the host does. The runs of a round
# follow each other, so what the host does to one it does to all; a cost is that of a round, and the spread over the
# rounds is printed with every mean.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

rounds=15 guest=6.1-amd64
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) needs_value "$1" $#; rounds=$2; shift ;;
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

choices=(core ltt all 'core,tracepoint:*:*')

say "one run of each kind to warm up"
seconds '' "${record[@]}" --no-plugin
for choice in "${choices[@]}"; do seconds '' "${record[@]}" --events "$choice"; done
for ((round = 1; round <= rounds; round++)); do
  say "round $round of $rounds"
  line=$(seconds '%U %R' "${record[@]}" --no-plugin)
  for choice in "${choices[@]}"; do line+=" $(seconds '%U %R' "${record[@]}" --events "$choice")"; done
  echo "$line"
done >"$work/rounds"

# measured COLUMN: the spread of a column of the rounds.
measured() { awk -v column="$1" '{ print $column }' "$work/rounds" | spread; }

echo "Measured on $(date -u +%F) at commit $(git rev-parse --short HEAD), $(nproc) host CPUs, $(qemu-system-x86_64 --version | sed -n 1p),"
echo "guest $guest, workload \`mix\`, deterministic clock."
echo
row() { echo "| $1 |$(printf ' %s |' "${@:2}")"; }
headings=(untraced)
for choice in "${choices[@]}"; do headings+=("\`$choice\`"); done
row what "${headings[@]}"
echo "|---|---|$(printf -- '---|%.0s' "${choices[@]}")"
user=() cost=(-) wall=() count=(-) rate=(-) density=(-)
for ((index = 0; index <= ${#choices[@]}; index++)); do
  user+=("$(measured $((2 * index + 1)))")
  wall+=("$(measured $((2 * index + 2)))")
done
for ((index = 1; index <= ${#choices[@]}; index++)); do
  cost+=("$(awk -v column=$((2 * index + 1)) '{ print ($column / $1 - 1) * 100 }' "$work/rounds" | spread)")
  seconds '' "${record[@]}" --events "${choices[index - 1]}"
  events=$("$program" events "$work/trace" --format json | wc -l)
  bytes=$(stat -c %s "$work/trace")
  count+=("$events")
  rate+=("$(awk -v column=$((2 * index + 2)) -v events="$events" '{ sum += $column } END { printf "%.0f", events / (sum / NR) }' "$work/rounds")")
  density+=("$(awk "BEGIN { printf \"%.1f\", $bytes / $events }")")
done
row "user CPU seconds" "${user[@]}"
row "cost of tracing, percent of user CPU, round by round" "${cost[@]}"
row "wall seconds" "${wall[@]}"
row "events" "${count[@]}"
row "events per wall second" "${rate[@]}"
row "bytes per event in the file" "${density[@]}"
echo
plan_image=$(seconds %R "$program" plan --kernel "$kernel" --events core)
plan_every=$(seconds %R "$program" plan --kernel "$kernel" --events 'core,tracepoint:*:*')
echo "| what | measured |"
echo "|---|---|"
echo "| wall seconds to plan from the bzImage | $plan_image |"
echo "| the same with all tracepoints | $plan_every |"

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
