#!/usr/bin/env bash
# Measures what a question about a fleet of boots costs, on DataFusion and on a Spark cluster of two workers, and prints
# it as Markdown for docs/fleet.md.
#
# usage: scripts/fleet.sh [--rows "N ..."] [--runs N] [--no-spark] >measured.md
#
#   --rows "N ..."  rows of `thread_states` in all boots together (default "1000000 10000000 100000000")
#   --runs N        boots (default 1000)
#   --no-spark      DataFusion alone
#
# The data is made by sql/examples/fleet_data.rs: from one boot on, udevd waits twice as long for the disk. The question
# is scripts/fleet.sql; both engines have to name that boot and its revision, or this fails. 10^8 rows need 1.5 GB of disk.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

sizes="1000000 10000000 100000000" runs=1000 spark=yes
while [ $# -gt 0 ]; do
  case $1 in
    --rows) needs_value "$1" $#; sizes=$2; shift ;;
    --runs) needs_value "$1" $#; runs=$2; shift ;;
    --no-spark) spark=no ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

cd "$project_dir"
use_cargo || die "no cargo is new enough" "scripts/setup.sh"
target=${CARGO_TARGET_DIR:-$project_dir/target}
cargo build --quiet --release --manifest-path sql/Cargo.toml --target-dir "$target" --bins --example fleet_data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# timed FILE COMMAND...: runs a command, its output in a file; prints the seconds that it took.
timed() {
  local TIMEFORMAT=%R out=$1
  shift
  { time "$@" >"$out" 2>"$work/log"; } 2>&1 || die "$* failed: $(tail -n 3 "$work/log")"
}

# round N: the seconds of Spark's N-th round.
round() { sed -n "s/^round $1: \(.*\) s$/\1/p" "$work/log"; }

# named FILE: the boot and the revision that an answer names.
named() { sed -n '2 s/^\([^,]*\),\([^,]*\),.*/run \1, revision \2/p' "$1"; }

echo "\`scripts/fleet.sh --rows \"$sizes\" --runs $runs\`, on $(date -u +%F) at commit $(git rev-parse --short HEAD), $(nproc) cores;" \
  "seconds. Spark's first answer includes looking at the files; starting the cluster does not count."
echo
row "rows in $runs boots" "bytes" "DataFusion" "Spark, first" "Spark, again" "answer"
row --- --- --- --- --- ---
for rows in $sizes; do
  data=$work/fleet
  say "making $rows rows in $runs boots"
  rm -rf "$data"
  "$target/release/examples/fleet_data" "$data" "$runs" "$rows" >"$work/truth"
  truth=$(sed 's/^the waits double in //' "$work/truth")
  bytes=$(du -sb "$data" | cut -f 1)
  say "asking DataFusion"
  fusion=$(timed "$work/fusion.csv" "$target/release/guesttrace-sql" query "$data" "$(cat scripts/fleet.sql)" --format csv)
  [ "$(named "$work/fusion.csv")" = "$truth" ] || die "DataFusion answers $(named "$work/fusion.csv"), true is $truth" '' 1
  first=- again=-
  if [ "$spark" = yes ]; then
    say "asking Spark"
    timed "$work/spark.csv" scripts/fleet-spark.sh --rounds 2 "$data" scripts/fleet.sql >/dev/null
    cmp -s "$work/fusion.csv" "$work/spark.csv" ||
      die "the engines differ: $(tail -n 1 "$work/fusion.csv") and $(tail -n 1 "$work/spark.csv")" '' 1
    first=$(round 1) again=$(round 2)
  fi
  row "$rows" "$bytes" "$fusion" "$first" "$again" "$truth"
done
