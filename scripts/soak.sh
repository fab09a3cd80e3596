#!/usr/bin/env bash
# The long checks: every event on every kernel, many identical runs, recordings that are killed, damaged files.
#
# usage: scripts/soak.sh [--runs N] [--kills N] [--fuzz N] [--kernels "NAME ..."] >measured.md
#
#   --runs N      traces of each kernel with 1, 2 and 4 CPUs that must be the same bytes (default 20)
#   --kills N     recordings killed in mid-run whose files must be readable (default 50)
#   --fuzz N      damaged files given to each parser (default 100000)
#   --kernels L   default: every kernel that images/fetch-kernel.sh knows
#
# 0 for a number leaves that check out; the events of the kernels are always looked at (docs/kernels.md).
# Takes hours. Prints what it measured as Markdown; exits 1 when anything differed or could not be read.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

runs=20 kills=50 fuzz=100000
kernels="5.10-amd64 6.1-amd64 6.1-rt-amd64 6.1-cloud-amd64 6.12-amd64 7.2-amd64"
while [ $# -gt 0 ]; do
  case $1 in
    --runs) needs_value "$1" $#; runs=$2; shift ;;
    --kills) needs_value "$1" $#; kills=$2; shift ;;
    --fuzz) needs_value "$1" $#; fuzz=$2; shift ;;
    --kernels) needs_value "$1" $#; kernels=$2; shift ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

cd "$project_dir"
use_cargo || die "no cargo is new enough" "scripts/setup.sh"
cargo build --quiet --release
program=${CARGO_TARGET_DIR:-target}/release/guesttrace
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# row WHAT RESULT: one line of the table.
row() { echo "| $1 | $2 |"; }
fail() {
  failures=$((failures + 1))
  say "FAILED: $1"
}

# Records the same machine again and again; the first file is what all others must equal.
check_identity() {
  local kernel=$1 smp=$2 run same=0
  rm -f "$work"/trace*
  for ((run = 1; run <= runs; run++)); do
    if ! scripts/run-qemu.sh --trace "$work/trace" --guest "$kernel" --smp "$smp" --serial "$work/serial" >"$work/log" 2>&1; then
      fail "$kernel, --smp $smp, run $run: $(tail -n 1 "$work/log")"
      continue
    fi
    [ -f "$work/trace.first" ] || cp "$work/trace" "$work/trace.first"
    if cmp -s "$work/trace" "$work/trace.first"; then same=$((same + 1)); else fail "$kernel, --smp $smp: run $run differs"; fi
  done
  row "$kernel, --smp $smp: identical traces" "$same of $runs"
}

# Records the whole event table on each kernel: which events fire, with which values, and that returns know their entries.
check_events() {
  local kernel events
  for kernel in $kernels; do images/build.sh --kernel "$kernel"; done
  if ! GUESTTRACE_E2E=1 GUESTTRACE_KERNELS=$kernels cargo test --release -p guesttrace-tests --test ltt_table -- \
    --nocapture kernels values returns >"$work/log" 2>&1; then
    fail "events: $(grep -m 1 -E 'panicked|FAILED|^error' "$work/log")"
    return
  fi
  while read -r kernel events; do row "${kernel%:}: events with values that the guest's program knows" "$events"; done \
    < <(sed -n 's/^\(.*:\) \([0-9]*\) events with known values found$/\1 \2/p' "$work/log")
  row "events of $kernels as docs/kernels.md has them" "yes"
}

# Kills recorder and QEMU at another moment each time; what was written until then must be readable.
check_kills() {
  local kill readable=0 with_events=0 recorder status
  for ((kill = 1; kill <= kills; kill++)); do
    rm -f "$work"/trace*
    # Small buffers, so that much is written in time.
    setsid scripts/run-qemu.sh --trace "$work/trace" --buffer-size 128 >"$work/log" 2>&1 &
    recorder=$!
    until compgen -G "$work/trace*" >/dev/null || ! kill -0 "$recorder" 2>/dev/null; do sleep 0.1; done
    sleep "$(awk "BEGIN { print 4 * $kill / $kills }")"
    kill -KILL -- "-$recorder" 2>/dev/null || true
    wait "$recorder" 2>/dev/null || true
    # 0: it had ended before; 3: the file was cut, and says so.
    status=0
    "$program" events "$work"/trace* --format json >"$work/events" 2>"$work/log" || status=$?
    case $status in
      0|3) readable=$((readable + 1)) ;;
      *) fail "kill $kill: $(tail -n 1 "$work/log")" ;;
    esac
    if [ -s "$work/events" ]; then with_events=$((with_events + 1)); fi
  done
  row "recordings killed within their first 4 s and yet readable" "$readable of $kills, $with_events of them with events"
}

# The tests whose name has "fuzz" in it read from this variable how many files to damage.
check_damage() {
  local passed
  if ! GUESTTRACE_FUZZ_CASES=$fuzz cargo test --workspace --release fuzz >"$work/log" 2>&1; then
    fail "fuzz tests: $(grep -m 1 -E 'panicked|FAILED|^error' "$work/log")"
    return
  fi
  passed=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$work/log" | awk '{ sum += $1 } END { print sum + 0 }')
  if [ "$passed" = 0 ]; then
    fail "there are no fuzz tests"
  else
    row "damaged files for each of $passed parsers, none of which panicked" "$fuzz"
  fi
}

echo "Measured on $(date -u +%F) at commit $(git rev-parse --short HEAD)."
echo
echo "| what | result |"
echo "|---|---|"
check_events
if [ "$runs" != 0 ]; then
  for kernel in $kernels; do
    for smp in 1 2 4; do check_identity "$kernel" "$smp"; done
  done
fi
if [ "$kills" != 0 ]; then check_kills; fi
if [ "$fuzz" != 0 ]; then check_damage; fi
say "$failures failures, $SECONDS s"
[ "$failures" = 0 ] || exit 1
