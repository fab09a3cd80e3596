"""Asks a Spark cluster about a directory of exported traces: what scripts/fleet-spark.sh starts.

usage: fleet_query.py MASTER MEMORY ROUNDS DIR QUERY

Each TABLE.parquet in the directories run=NAME becomes a table of that name with a column `run`, as with
`guesttrace-sql query`. Prints the rows as CSV, the seconds of each round on standard error.
"""

import csv
import os
import sys
import time

from pyspark.sql import SparkSession


def main():
    master, memory, rounds, directory, query = sys.argv[1:]
    spark = (
        SparkSession.builder.master(master)
        .appName("guesttrace")
        .config("spark.executor.memory", memory)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        # Names of runs are text, also where they look like numbers.
        .config("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
        # Runs of different kernels have different fields.
        .config("spark.sql.parquet.mergeSchema", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    runs = [name for name in os.listdir(directory) if name.startswith("run=")]
    names = {file for run in runs for file in os.listdir(os.path.join(directory, run))}
    tables = {name.removesuffix(".parquet") for name in names if name.endswith(".parquet")}
    # Only what the query names is looked at.
    for table in sorted(table for table in tables if table.lower() in query.lower()):
        reader = spark.read.option("basePath", directory)
        reader.parquet(f"{directory}/run=*/{table}.parquet").createOrReplaceTempView(table)
    for number in range(int(rounds)):
        start = time.monotonic()
        rows = spark.sql(query)
        names, rows = rows.columns, rows.collect()
        print(f"round {number + 1}: {time.monotonic() - start:.2f} s", file=sys.stderr)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(names)
    out.writerows(rows)
    spark.stop()


main()
