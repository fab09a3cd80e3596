//! What the page shows, against what reports say; and the file that keeps it, whole and damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analyzer::report::{Options, ReportFormat, report_named};
use analyzer::sources::Trace;
use guesttrace_view::{Keep, Query, Served, answer, build};
use serde_json::Value;

/// A small trace that is always there, and that of a guest where there is one.
fn traces() -> Vec<PathBuf> {
    let golden = "../analyzer/tests/golden/first_program.trace";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(golden);
    let guest = std::env::var_os("GUESTTRACE_EXPORT_TRACE").map(PathBuf::from);
    std::iter::once(golden).chain(guest).collect()
}

fn served(path: &Path, keep: Keep) -> Vec<Arc<Served>> {
    let trace = Trace::open(path).expect("the trace opens");
    let served = Served::new("a trace".to_owned(), vec![path.to_owned()], trace);
    build(&served, keep).expect("the trace can be read");
    vec![Arc::new(served)]
}

fn ask(traces: &[Arc<Served>], question: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let query = Query::new(pairs.collect());
    let answer = answer(traces, &format!("api/0/{question}"), &query);
    answer.expect("a question that makes sense").bytes
}

fn json(traces: &[Arc<Served>], question: &str) -> Value {
    serde_json::from_slice(&ask(traces, question, &[])).expect("an answer in JSON")
}

fn report(path: &Path, name: &str) -> Value {
    let trace = Trace::open(path).expect("the trace opens");
    let kind = report_named(name).expect("there is such a report");
    let mut out = Vec::new();
    kind.write(&trace, &Options::default(), ReportFormat::Json, &mut out)
        .expect("the report can be written");
    serde_json::from_slice(&out).expect("a report in JSON")
}

/// Time of the kinds whose names `of` wants, of a row.
fn time(row: &Value, meta: &Value, of: impl Fn(&str) -> bool) -> u64 {
    let sums = row["sums"].as_array().expect("sums");
    let name = |sum: &Value| {
        let kind = usize::try_from(sum[0].as_u64().expect("a kind")).expect("a kind");
        meta["kinds"][kind]["name"]
            .as_str()
            .expect("its name")
            .to_owned()
    };
    let wanted = sums.iter().filter(|sum| of(&name(sum)));
    wanted.map(|sum| sum[1].as_u64().expect("a time")).sum()
}

#[test]
fn rows_say_what_the_report_on_processes_says() {
    let mut compared = 0;
    for path in traces() {
        let traces = served(&path, Keep::Nowhere);
        let (meta, rows) = (json(&traces, "meta"), json(&traces, "rows"));
        let all = rows.as_array().expect("rows");
        let threads: Vec<&Value> = all.iter().filter(|row| row["type"] == "thread").collect();
        let report = report(&path, "processes");
        let listed = report["threads"].as_array().expect("threads");
        assert_eq!(threads.len(), listed.len(), "{}", path.display());
        for own in listed {
            // A number may have been given twice, and a name too: then the times tell.
            let same = |row: &&&Value| row["tid"] == own["tid"] && row["name"] == own["comm"];
            let columns: [(&str, &[&str]); 6] = [
                ("user_ns", &["user"]),
                ("syscall_ns", &["syscall"]),
                ("trap_ns", &["trap"]),
                ("irq_ns", &["irq"]),
                ("softirq_ns", &["softirq"]),
                // The kernel's own thread of a CPU idles in its own code.
                ("kernel_ns", &["kernel", "idle"]),
            ];
            let equal = |row: &&&Value| {
                columns.iter().all(|(column, kinds)| {
                    let of_row = time(row, &meta, |name| kinds.contains(&name));
                    own[*column].as_u64().unwrap_or(0) == of_row
                })
            };
            let mut candidates = threads.iter().filter(same);
            assert!(
                candidates.any(|row| equal(&row)),
                "{}: {own} is none of the rows",
                path.display()
            );
            compared += 1;
        }
    }
    assert!(compared > 3, "{compared} threads");
}

#[test]
fn cpus_say_what_the_report_on_the_system_says() {
    for path in traces() {
        let traces = served(&path, Keep::Nowhere);
        let (meta, rows) = (json(&traces, "meta"), json(&traces, "rows"));
        let cpus = rows.as_array().expect("rows").iter().filter(|row| {
            let name = row["name"].as_str().expect("a name");
            row["type"] == "cpu" && !name.ends_with("runs")
        });
        let cpus: Vec<&Value> = cpus.collect();
        let sum = |of: &dyn Fn(&str) -> bool| -> u64 {
            cpus.iter().map(|cpu| time(cpu, &meta, of)).sum()
        };
        let report = report(&path, "processes");
        let system = |what: &str| {
            let rows = report["system"].as_array().expect("rows").iter();
            let mut rows = rows.filter(|row| row["what"] == what);
            rows.next()
                .and_then(|row| row["time_ns"].as_u64())
                .expect("a time")
        };
        let kernel = ["syscall", "trap", "irq", "softirq", "kernel"];
        assert_eq!(
            sum(&|name| name == "user"),
            system("process code"),
            "{}",
            path.display()
        );
        assert_eq!(
            sum(&|name| kernel.contains(&name)),
            system("kernel"),
            "{}",
            path.display()
        );
        assert_eq!(
            sum(&|name| name == "idle"),
            system("idle"),
            "{}",
            path.display()
        );
        let unknown = ["unknown", "lost", "running_unknown"];
        assert_eq!(
            sum(&|name| unknown.contains(&name)),
            system("unknown"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_kept_index_answers_the_same() {
    for path in traces() {
        let work = tempfile::tempdir().expect("a directory");
        let copy = work.path().join("out.bin");
        fs::copy(&path, &copy).expect("the trace can be copied");
        let fresh = served(&copy, Keep::Beside);
        assert!(work.path().join("out.bin.view").exists());
        let kept = served(&copy, Keep::Beside);
        let spans = [("width", "300"), ("rows", "0-40")];
        for question in ["rows", "meta"] {
            let (mut one, mut other) = (json(&fresh, question), json(&kept, question));
            for value in [&mut one, &mut other] {
                if let Some(meta) = value.as_object_mut() {
                    meta.remove("version");
                }
            }
            assert_eq!(one, other, "{} {question}", path.display());
        }
        assert_eq!(ask(&fresh, "spans", &spans), ask(&kept, "spans", &spans));
        let events = [("first", "0"), ("count", "1000")];
        assert_eq!(
            ask(&fresh, "events", &events),
            ask(&kept, "events", &events)
        );
    }
}

#[test]
fn an_index_of_another_trace_is_made_anew() {
    let work = tempfile::tempdir().expect("a directory");
    let (copy, file) = (
        work.path().join("out.bin"),
        work.path().join("out.bin.view"),
    );
    fs::copy(&traces()[0], &copy).expect("the trace can be copied");
    served(&copy, Keep::Beside);
    let first = fs::read(&file).expect("the index was kept");
    served(&copy, Keep::Beside);
    assert_eq!(fs::read(&file).expect("it is still there"), first);
    let changed = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let trace = fs::File::options()
        .write(true)
        .open(&copy)
        .expect("it opens");
    trace.set_modified(changed).expect("its time can be set");
    served(&copy, Keep::Beside);
    assert_ne!(fs::read(&file).expect("it was made anew"), first);
}

#[test]
fn a_damaged_index_is_made_anew() {
    let work = tempfile::tempdir().expect("a directory");
    let copy = work.path().join("out.bin");
    fs::copy(&traces()[0], &copy).expect("the trace can be copied");
    let rows = json(&served(&copy, Keep::Beside), "rows");
    let file = work.path().join("out.bin.view");
    let whole = fs::read(&file).expect("the index was kept");
    for at in (0..whole.len()).step_by(whole.len() / 97 + 1) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&file, &damaged).expect("it can be written");
        assert_eq!(
            json(&served(&copy, Keep::Beside), "rows"),
            rows,
            "byte {at}"
        );
        assert_ne!(
            fs::read(&file).expect("it was made anew"),
            damaged,
            "byte {at}"
        );
        fs::write(&file, &whole[..at]).expect("it can be written");
        assert_eq!(
            json(&served(&copy, Keep::Beside), "rows"),
            rows,
            "cut at {at}"
        );
    }
}

#[test]
fn a_directory_that_cannot_be_written_costs_nothing_but_time() {
    let work = tempfile::tempdir().expect("a directory");
    let copy = work.path().join("out.bin");
    fs::copy(&traces()[0], &copy).expect("the trace can be copied");
    // A directory in the place of the file keeps root from writing it, too.
    fs::create_dir(work.path().join("out.bin.view")).expect("it can be made");
    let traces = served(&copy, Keep::Beside);
    assert_eq!(json(&traces, "meta")["done"], true);
    let left: Vec<_> = fs::read_dir(work.path()).expect("it can be read").collect();
    assert_eq!(left.len(), 2, "nothing is left of the attempt");
}
