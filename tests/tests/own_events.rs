//! Events of the user's own: probes, rows from a file and any tracepoint, against what strace saw in the same guest.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use guesttrace_tests::{
    Event, Run, StracedCall, events, guests_wanted, guesttrace, kernel, record, skip, strace,
};
use serde_json::Value;

const KERNEL: &str = "6.1-amd64";

/// A row as users write them.
const OWN_ROWS: &str = r#"category = "mine"

[[event]]
name = "my_open"
doc = "A file is about to be opened by its path."
hooks = ["entry:do_filp_open"]
bind = ["task = current"]
when = "task->tgid == task->pid"
fields = [
  { name = "path",  type = "string", fetch = "pathname->name", doc = "the path" },
  { name = "flags", type = "hex",    fetch = "op->open_flag",  doc = "how it is opened" },
  { name = "comm",  type = "string", fetch = "task->comm",     doc = "who opens it" },
]
"#;

/// Functions that call `do_sys_openat2`.
const CALLERS: [&str; 6] = [
    "do_sys_open",
    "__x64_sys_openat",
    "__x64_sys_open",
    "__ia32_compat_sys_open",
    "__ia32_compat_sys_openat",
    "__ia32_sys_openat",
];

/// What the program says, and how it ends.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(guesttrace())
        .args(arguments)
        .output()
        .expect("cargo build --release comes first");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn vmlinuz() -> Option<String> {
    Some(kernel(KERNEL)?.vmlinuz.to_string_lossy().into_owned())
}

/// Functions of the kernel with that name: address and size.
fn function(vmlinuz: &str, name: &str) -> (u64, u64) {
    let (code, out, err) = run(&[
        "list",
        "functions",
        name,
        "--kernel",
        vmlinuz,
        "--format",
        "json",
    ]);
    assert_eq!(code, Some(0), "{err}");
    let line = out.lines().next().expect("a function");
    let item: Value = serde_json::from_str(line).expect("JSON");
    let address = item["address"].as_str().expect("its address");
    let digits = address.trim_start_matches("0x");
    (
        u64::from_str_radix(digits, 16).expect("an address"),
        item["size"].as_u64().expect("its size"),
    )
}

/// The first bytes behind a function's start at which an instruction begins.
fn second_instruction(vmlinuz: &str, name: &str) -> u64 {
    let is_one = |offset: &u64| {
        let probe = format!("{name}+{offset}");
        run(&[
            "plan", "--kernel", vmlinuz, "--events", "none", "--probe", &probe,
        ])
        .0 == Some(0)
    };
    (1..16).find(is_one).expect("a second instruction")
}

/// The first string that strace prints of a call.
fn path_of(call: &StracedCall) -> String {
    let (_, rest) = call.text.split_once('"').expect("a path");
    rest.split_once('"').expect("the path's end").0.to_owned()
}

fn by_name(all: Vec<Event>) -> BTreeMap<String, Vec<Event>> {
    let mut found: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for event in all {
        found
            .entry(event.name().to_owned())
            .or_default()
            .push(event);
    }
    found
}

/// A call as strace and two probes tell it: before the function that does it, and at its return.
struct SeenCall<'a> {
    told: &'a StracedCall,
    entry: &'a Event,
    result: &'a Event,
}

/// Calls of those names that strace saw, with what the probes saw of the same threads, in order.
fn seen<'a>(
    told: &'a [StracedCall],
    found: &'a BTreeMap<String, Vec<Event>>,
    calls: &[&str],
    [entry, result]: [&str; 2],
) -> Vec<SeenCall<'a>> {
    let first = told.first().expect("strace printed calls").tid;
    let execs = found["sched:sched_process_exec"].iter();
    let mut execs = execs.filter(|event| event.number("tid") == first);
    let start = execs
        .next()
        .expect("strace starts its program")
        .number("tsc");
    let threads: BTreeSet<u64> = told.iter().map(|call| call.tid).collect();
    let mut all = Vec::new();
    for tid in threads {
        let of_thread = |name: &str| -> Vec<&Event> {
            let of_thread = found[name]
                .iter()
                .filter(|event| event.number("tid") == tid);
            // What the first thread did before its execve, strace itself did.
            of_thread
                .filter(|event| tid != first || event.number("tsc") > start)
                .collect()
        };
        let told = told.iter().filter(|call| call.tid == tid);
        let told: Vec<_> = told
            .filter(|call| calls.contains(&call.name.as_str()))
            .collect();
        let (entries, results) = (of_thread(entry), of_thread(result));
        assert_eq!(entries.len(), told.len(), "{tid}: {told:?} {entries:?}");
        assert_eq!(results.len(), told.len(), "{tid}: {told:?} {results:?}");
        let both = entries.into_iter().zip(results);
        all.extend(
            told.into_iter()
                .zip(both)
                .map(|(told, (entry, result))| SeenCall {
                    told,
                    entry,
                    result,
                }),
        );
    }
    all
}

/// Paths, descriptors, sizes and results, call by call.
fn compare_calls(run: &Run, found: &BTreeMap<String, Vec<Event>>) -> [usize; 2] {
    let told = strace(&run.console).calls;
    let opens = seen(&told, found, &["open", "openat"], ["open", "opened"]);
    for SeenCall {
        told,
        entry,
        result,
    } in &opens
    {
        assert_eq!(path_of(told), entry.text("filename"), "{told:?} {entry:?}");
        assert_eq!(
            told.result,
            Some(result.field("ret")),
            "{told:?} {result:?}"
        );
    }
    let writes = seen(&told, found, &["write"], ["write", "written"]);
    for SeenCall {
        told,
        entry,
        result,
    } in &writes
    {
        let context = format!("{told:?} {entry:?} {result:?}");
        let numbers = BTreeMap::from_iter(told.numbers.iter().copied());
        assert_eq!(numbers[&0], entry.field("fd"), "{context}");
        assert_eq!(numbers[&2], entry.field("count"), "{context}");
        assert_eq!(told.result, Some(result.field("ret")), "{context}");
    }
    [opens.len(), writes.len()]
}

/// What different ways of seeing one function must agree on.
fn compare_probes(found: &BTreeMap<String, Vec<Event>>, callers: &[(u64, u64)]) {
    let opens = &found["open"];
    for other in ["probe:do_sys_openat2", "by_address", "behind", "opened"] {
        assert_eq!(found[other].len(), opens.len(), "{other}");
    }
    for (index, open) in opens.iter().enumerate() {
        let plain = &found["probe:do_sys_openat2"][index];
        assert_eq!(open.number("tsc"), plain.number("tsc"));
        assert_eq!(open.text("filename"), plain.text("filename"));
        assert_eq!(open.field("dfd"), plain.field("dfd"));
        assert_eq!(
            plain.json["fields"],
            found["by_address"][index].json["fields"]
        );
        assert_eq!(open.field("dfd"), found["behind"][index].field("dfd"));
        // Who it was, by the thread's own structure and by the trace's.
        assert_eq!(open.text("comm"), open.comm());
        assert_eq!(open.field("tgid").cast_unsigned(), open.number("pid"));
        assert_eq!(open.field("c").cast_unsigned(), open.number("cpu"));
        let hex: String = open
            .text("filename")
            .bytes()
            .take(4)
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            open.text("start").get(..hex.len()),
            Some(hex.as_str()),
            "{open:?}"
        );
        let from = open.field("from").cast_unsigned();
        let opened = &found["opened"][index];
        assert_eq!(opened.field("from").cast_unsigned(), from);
        // What the entry knew, and how long it is ago.
        // At the entry the page of the path may still be on the disk; the kernel has read it when it returns.
        let at_entry = open.text("filename");
        assert!(
            at_entry.is_empty() || opened.text("path") == at_entry,
            "{opened:?}"
        );
        assert!(!opened.text("path").is_empty(), "{opened:?}");
        let took = opened.number("tsc") - open.number("tsc");
        assert_eq!(opened.field("took").cast_unsigned(), took);
        let name = open.json["symbols"]["from"].as_str().expect("a symbol");
        let name = name.split('+').next().unwrap_or_default();
        assert!(CALLERS.contains(&name), "{open:?}");
        assert!(
            callers
                .iter()
                .any(|(start, size)| (*start..start + size).contains(&from)),
            "{open:?}"
        );
    }
}

/// A tracepoint as an event of its own, against the row of the table on the same tracepoint.
fn compare_tracepoint(found: &BTreeMap<String, Vec<Event>>) {
    let (rows, own) = (&found["sched_switch"], &found["sched:sched_switch"]);
    assert_eq!(rows.len(), own.len());
    for (row, own) in rows.iter().zip(own) {
        assert_eq!(row.number("tsc"), own.number("tsc"));
        for name in ["prev_pid", "prev_prio", "next_pid", "next_prio"] {
            assert_eq!(row.field(name), own.field(name), "{row:?} {own:?}");
        }
        for name in ["prev_comm", "next_comm"] {
            assert_eq!(row.text(name), own.text(name));
        }
    }
}

#[test]
fn probes_rows_and_tracepoints_see_what_strace_sees() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let vmlinuz = vmlinuz().expect("scripts/test.sh fetches kernels");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rows = dir.path().join("mine.toml");
    std::fs::write(&rows, OWN_ROWS).unwrap();
    let (address, _) = function(&vmlinuz, "do_sys_openat2");
    let behind = second_instruction(&vmlinuz, "do_sys_openat2");
    let events_wanted = format!(
        "core,tracepoint:sched:sched_switch,tracepoint:sched_process_exec,{}",
        rows.display()
    );
    let run = record(
        KERNEL,
        "strace",
        &[
            "--events",
            &events_wanted,
            "--probe",
            "open=do_sys_openat2 dfd=dfd filename=string(user, filename) start=bytes(filename, 4) from=caller \
             comm=current->comm tgid=current->tgid c=cpu",
            "--probe",
            "do_sys_openat2",
            "--probe",
            &format!("behind=do_sys_openat2+{behind} dfd=(int)%rdi"),
            "--probe",
            &format!("by_address={address:#x}"),
            "--probe",
            "opened=do_sys_openat2%return ret=retval from=caller path=string(user, filename) took=elapsed",
            "--probe",
            "write=ksys_write",
            "--probe",
            "written=ksys_write%return",
        ],
    );
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    let names = "open,opened,write,written,behind,by_address,probe:*,my_open,sched:*,sched_switch";
    let found = by_name(events(&run.trace, &["--event", names]));
    let [opens, writes] = compare_calls(&run, &found);
    println!("{opens} opens and {writes} writes as strace saw them");
    assert!(opens >= 10 && writes > 20);
    let callers: Vec<(u64, u64)> = CALLERS
        .iter()
        .map(|name| function(&vmlinuz, name))
        .collect();
    compare_probes(&found, &callers);
    compare_tracepoint(&found);
    compare_file(&run, &found);
}

/// Programs are opened by `do_filp_open` too: paths of the row and of the tracepoint, against strace's `execve`s.
fn compare_file(run: &Run, found: &BTreeMap<String, Vec<Event>>) {
    let told = strace(&run.console);
    let execs: Vec<_> = told
        .calls
        .iter()
        .filter(|call| call.name == "execve" && call.result == Some(0))
        .collect();
    assert!(execs.len() > 10);
    for call in &execs {
        let path = path_of(call);
        let has = |name: &str, field: &str| {
            let of_thread = found[name]
                .iter()
                .filter(|event| event.number("tid") == call.tid);
            of_thread.filter(|event| event.text(field) == path).count() > 0
        };
        assert!(has("my_open", "path"), "{call:?}");
        assert!(has("sched:sched_process_exec", "bprm_filename"), "{call:?}");
    }
    assert!(
        found["my_open"]
            .iter()
            .all(|event| event.text("comm") == event.comm())
    );
}

/// Instructions of a function as objdump sees them, from its start: how many bytes behind it each begins.
fn instructions(vmlinux: &std::path::Path, function: &str) -> Option<Vec<u64>> {
    let text = guesttrace_tests::objdump(vmlinux, function)?;
    let address = |line: &str| u64::from_str_radix(line.trim().split_once(":\t")?.0, 16).ok();
    let all: Vec<u64> = text.lines().filter_map(address).collect();
    let first = *all.first()?;
    Some(all.into_iter().map(|address| address - first).collect())
}

/// What debug information says of an argument at each instruction, against what it was when the function began.
#[test]
fn arguments_stay_what_they_were_at_the_start() {
    const CLOUD: &str = "6.1-cloud-amd64";
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let Some(vmlinux) = kernel(CLOUD).and_then(|files| files.vmlinux) else {
        skip!("the vmlinux of {CLOUD} was not fetched");
    };
    let Some(offsets) = instructions(&vmlinux, "do_sys_openat2") else {
        skip!("objdump is not installed");
    };
    let probes: Vec<String> = offsets[1..30]
        .iter()
        .map(|offset| {
            format!(
                "at_{offset}=do_sys_openat2+{offset} dfd=either(dfd, missing) \
                 filename:hex=either((u64)filename, missing) how:hex=either((u64)how, missing)"
            )
        })
        .collect();
    let vmlinux = vmlinux.to_string_lossy();
    let mut more = vec!["--vmlinux", &vmlinux, "--events", "none", "--probe"];
    more.push("start=do_sys_openat2 dfd=dfd filename:hex=(u64)filename how=how");
    for probe in &probes {
        more.extend(["--probe", probe]);
    }
    let run = record(CLOUD, "boot", &more);
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    let mut started: BTreeMap<u64, Event> = BTreeMap::new();
    let mut agreed: BTreeMap<String, usize> = BTreeMap::new();
    for event in events(&run.trace, &["--event", "start,at_*"]) {
        if event.name() == "start" {
            started.insert(event.number("tid"), event);
            continue;
        }
        let start = &started[&event.number("tid")];
        for name in ["dfd", "filename", "how"] {
            if event.json["fields"][name].is_null() {
                continue;
            }
            assert_eq!(event.field(name), start.field(name), "{event:?} {start:?}");
            *agreed
                .entry(format!("{} {name}", event.name()))
                .or_default() += 1;
        }
    }
    println!("{} locations, {agreed:?}", agreed.len());
    // Behind the prologue the arguments are in other registers, and some are gone.
    assert!(agreed.len() > 40 && agreed.len() < 3 * probes.len());
}
