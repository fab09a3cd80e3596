//! Files of Parquet: what is written is what is queried, by this program and by engines that none of us wrote.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use guesttrace_sql::{ExportOptions, Limits, Opened, Session, export};
use guesttrace_tests::skip;
use support::{SCRIPTS, Sql, trace};

fn write(script: &str, dir: &Path) {
    let options = ExportOptions {
        dir: dir.to_owned(),
        labels: vec![("revision".to_owned(), format!("{script}-1"))],
        limits: Limits::default(),
    };
    let opened = Opened::new(trace(script), script);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime
        .block_on(export(opened, &options, &mut Vec::new()))
        .unwrap();
}

fn open(dir: &Path) -> Sql {
    Sql::of_session(Session::of_dataset(dir, Limits::default()).unwrap())
}

/// Queries whose answers may not depend on where the rows are.
const QUERIES: [&str; 4] = [
    "SELECT count(*), sum(time_ns), sum(cpu) FROM sched_switch",
    "SELECT name, count(*), sum(duration_ns), count(error) FROM syscalls GROUP BY name ORDER BY name",
    "SELECT state, count(*), sum(duration_ns) FROM thread_states GROUP BY state ORDER BY state",
    "SELECT tid, running_ns, comm FROM threads ORDER BY thread",
];

#[test]
fn what_is_exported_is_what_is_queried() {
    let dir = tempfile::tempdir().unwrap();
    for script in SCRIPTS {
        let place = dir.path().join(script);
        write(script, &place);
        let (there, here) = (open(&place), Sql::of(trace(script)));
        for query in QUERIES {
            if query.contains("syscalls") && here.number("SELECT count(*) FROM syscalls") == 0 {
                continue;
            }
            assert_eq!(there.rows(query), here.rows(query), "{script}: {query}");
        }
        // Every kind of event has a file, with all its rows.
        for row in here.rows("SELECT event, count(*) FROM events GROUP BY event") {
            let count = there.number(&format!("SELECT count(*) FROM \"{}\"", row[0]));
            assert_eq!(count.to_string(), row[1], "{script}: {}", row[0]);
        }
    }
}

#[test]
fn several_runs_are_one_data_set() {
    let dir = tempfile::tempdir().unwrap();
    for script in SCRIPTS {
        write(script, &dir.path().join(format!("run={script}")));
    }
    let all = open(dir.path());
    let query = "SELECT run, count(*) FROM sched_switch GROUP BY run ORDER BY run";
    let counts = SCRIPTS.map(|script| {
        let count = Sql::of(trace(script)).number("SELECT count(*) FROM sched_switch");
        vec![script.to_owned(), count.to_string()]
    });
    assert_eq!(all.rows(query), counts);
    let one = all.number("SELECT count(*) FROM sched_switch WHERE run = 'first_program'");
    assert_eq!(one.to_string(), counts[0][1]);
    let revisions = all.rows("SELECT run, revision FROM trace ORDER BY run");
    assert_eq!(revisions[1], ["kernel_services", "kernel_services-1"]);
}

#[test]
fn a_directory_that_is_there_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine"), "x").unwrap();
    let options = ExportOptions {
        dir: dir.path().to_owned(),
        labels: Vec::new(),
        limits: Limits::default(),
    };
    let opened = Opened::new(trace("first_program"), "first_program");
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let error = runtime
        .block_on(export(opened, &options, &mut Vec::new()))
        .unwrap_err();
    assert!(error.to_string().contains("is there already"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// A Python with DuckDB, which reads Parquet by code of its own; made once, kept beside the build.
fn duckdb() -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("duckdb");
    let python = venv.join("bin/python");
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr)
            .lines()
            .last()
            .unwrap_or("")
            .to_owned()),
        Err(error) => Err(error.to_string()),
    };
    if run(Command::new(&python).args(["-c", "import duckdb"])).is_err() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "duckdb==1.4.4"]))?;
    }
    Ok(python)
}

#[test]
fn another_engine_reads_the_same() {
    let python = match duckdb() {
        Ok(python) => python,
        Err(why) => skip!("DuckDB cannot be had from the Python package index: {why}"),
    };
    let dir = tempfile::tempdir().unwrap();
    for script in SCRIPTS {
        write(script, &dir.path().join(format!("run={script}")));
    }
    let program = "import duckdb, sys\n\
        table = lambda name: f\"read_parquet('{sys.argv[1]}/run=*/{name}.parquet', hive_partitioning=true, union_by_name=true)\"\n\
        for query in sys.argv[2:]:\n\
        \x20   for name in ('sched_switch', 'syscalls', 'thread_states'):\n\
        \x20       query = query.replace('FROM ' + name, 'FROM ' + table(name))\n\
        \x20   for row in duckdb.sql(query).fetchall():\n\
        \x20       print(','.join('' if cell is None else str(cell) for cell in row))\n";
    let queries = [
        "SELECT run, count(*), sum(time_ns), sum(next_prio), count(DISTINCT next_comm) FROM sched_switch GROUP BY run ORDER BY run",
        "SELECT name, error, count(*), sum(duration_ns), min(arg0) FROM syscalls GROUP BY name, error ORDER BY name, error NULLS FIRST",
        "SELECT comm, state, ended_by_what, count(*), sum(duration_ns) FROM thread_states GROUP BY comm, state, ended_by_what ORDER BY comm, state, ended_by_what NULLS FIRST",
    ];
    let output = Command::new(python)
        .args(["-c", program])
        .arg(dir.path())
        .args(queries)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let all = open(dir.path());
    let rows = queries.iter().flat_map(|query| all.rows(query));
    let rows: Vec<String> = rows.map(|row| row.join(",")).collect();
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.lines().collect::<Vec<_>>(), rows);
    assert!(rows.len() > 20);
}
