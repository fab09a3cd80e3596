#!/usr/bin/env bash
# Queries a directory of exported traces by Spark: starts a cluster of a master and two workers on this machine, asks,
# and stops it.
#
# usage: scripts/fleet-spark.sh [--cores N] [--memory MIB] [--rounds N] DIR QUERY
#
#   --cores N     cores of each worker (default 1)
#   --memory MIB  memory of each worker (default 2048)
#   --rounds N    ask so many times (default 1): the first has to look at all files, later ones know them
#   DIR           directory with directories run=NAME of files TABLE.parquet, as `guesttrace-sql export` writes them
#   QUERY         a query, or a file that holds one
#
# Prints the rows as CSV, the same as `guesttrace-sql query DIR QUERY --format csv`; how long each round took goes to
# standard error. Installs Debian's Java runtime when it is missing (scripts/setup.sh --for fleet), and Spark from the
# Python package index (0.8 GB) in images/build/spark once. The cluster listens on the loopback device alone.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

spark_version=4.0.1
cores=1 memory=2048 rounds=1 words=()
while [ $# -gt 0 ]; do
  case $1 in
    --cores) needs_value "$1" $#; cores=$2; shift ;;
    --memory) needs_value "$1" $#; memory=$2; shift ;;
    --rounds) needs_value "$1" $#; rounds=$2; shift ;;
    --help|-h) manual; exit 0 ;;
    -*) unknown_option "$1" ;;
    *) words+=("$1") ;;
  esac
  shift
done
[ ${#words[@]} -eq 2 ] || die "a directory and a query are wanted" "scripts/fleet-spark.sh --help" 2
dir=$(realpath "${words[0]}")
[ -d "$dir" ] || die "$dir is no directory" "write one with: guesttrace-sql export TRACE -o $dir/run=NAME" 2
query=${words[1]}
if [ -f "$query" ]; then query=$(cat "$query"); fi

"$project_dir/scripts/setup.sh" --for fleet --quiet
spark=$build_dir/spark
if ! "$spark/bin/python" -c 'import pyspark' 2>/dev/null; then
  say "installing Spark $spark_version in $spark"
  python3 -m venv "$spark"
  "$spark/bin/pip" install --quiet "pyspark==$spark_version" ||
    die "Spark cannot be installed" "is the Python package index within reach? see pip's message above"
fi
SPARK_HOME=$("$spark/bin/python" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')
export SPARK_HOME

work=$(mktemp -d)
processes=()
# Only what was started here is ended, by its number.
stop() {
  local process
  for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
  for process in "${processes[@]}"; do wait "$process" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT
export SPARK_LOCAL_IP=127.0.0.1 SPARK_LOCAL_DIRS=$work SPARK_LOG_DIR=$work SPARK_WORKER_DIR=$work
export SPARK_DAEMON_MEMORY=512m PYSPARK_PYTHON=$spark/bin/python

# A port that nobody has: the kernel gives one out.
free_port() { "$spark/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# start NAME CLASS ARGUMENT...: one process of the cluster, its talk in a file.
start() {
  local name=$1
  shift
  "$SPARK_HOME/bin/spark-class" "$@" >"$work/$name.log" 2>&1 &
  processes+=("$!")
}

# says NAME TEXT: waits until a process has said that.
says() {
  local try
  for ((try = 0; try < 600; try++)); do
    if grep -q "$2" "$work/$1.log"; then return; fi
    sleep 0.1
  done
  tail -n 5 "$work/$1.log" >&2
  die "Spark's $1 did not start within a minute" "see its messages above"
}

port=$(free_port)
start master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port "$port" --webui-port 0
says master 'I have been elected leader'
for worker in 1 2; do
  start "worker$worker" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --webui-port 0 \
    --cores "$cores" --memory "${memory}m" "spark://127.0.0.1:$port"
  says "worker$worker" 'Successfully registered with master'
done
say "a master and 2 workers of $cores cores and $memory MiB"

"$spark/bin/python" "$project_dir/scripts/fleet_query.py" \
  "spark://127.0.0.1:$port" "$((memory * 3 / 4))m" "$rounds" "$dir" "$query" 2>"$work/query.log" ||
  { grep -vE ' (INFO|WARN) ' "$work/query.log" | tail -n 15 >&2; die "Spark could not answer" "see its message above"; }
grep -oE 'round [0-9]+: [0-9.]+ s' "$work/query.log" >&2
