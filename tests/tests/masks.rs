//! What a recording leaves out is what was asked for: several traces of one run, against the whole one and the guest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use guesttrace_tests::{Event, Run, events, guests_wanted, record, skip};

const KERNEL: &str = "6.1-amd64";
const CONDITION: &str = r#"event == syscall_exit && ret < 0 || prev_pid == 1 || comm =~ "k*" || time > 5s && event ~ "sched_w*""#;
const LOOKED_OUT_FOR: &str = r#"event == syscall_entry && name == openat && comm == "exercise""#;

/// The further traces of the one run, by name.
const SESSIONS: [(&str, &str); 11] = [
    ("same", "events=core"),
    ("condition", CONDITION_MASK),
    ("user", "uid=1000"),
    ("group", "gid=1001"),
    ("cgroup", "cgroup=bo?"),
    ("session", "filter=current.sid == pid && pid > 1"),
    ("process_group", "filter=current.pgrp == pid && pid > 1"),
    ("children", "pid=1,children"),
    ("details", "details=sched_switch:next_pid,syscall_*:off"),
    ("late", "start=marker:phase-state"),
    (
        "window",
        r#"start=6s,stop=6.2s,start=function:ksys_setsid,stop=event == sched_process_exit && comm == "exercise""#,
    ),
];
const CONDITION_MASK: &str = r#"filter=event == syscall_exit && ret < 0 || prev_pid == 1 || comm =~ "k*" || time > 5s && event ~ "sched_w*""#;

const CONTEXT: &str = "cgroup_ns,ipc_ns,mnt_ns,net_ns,pid_ns,user_ns,uts_ns=sched_process_exit";

struct Traces {
    run: Run,
    dir: tempfile::TempDir,
    all: Vec<Event>,
}

impl Traces {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn events(&self, name: &str) -> Vec<Event> {
        events(&self.path(name), &[])
    }
}

/// One recording that all tests look at.
fn traces() -> &'static Traces {
    static TRACES: OnceLock<Traces> = OnceLock::new();
    TRACES.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let sessions =
            SESSIONS.map(|(name, mask)| format!("name={name},trace={},{mask}", path(name)));
        let command = format!("run:cat >>{}", path("told"));
        let mut options = vec!["--syscall-ip", "depth:2", "--on", LOOKED_OUT_FOR, &command];
        options.extend(["--context", CONTEXT]);
        for session in &sessions {
            options.extend(["--session", session]);
        }
        let run = record(KERNEL, "masks", &options);
        assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
        let all = events(&run.trace, &[]);
        Traces { run, dir, all }
    })
}

fn assert_same(found: &[Event], expected: &[&Event]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, *expected);
    }
    assert_eq!(found.len(), expected.len());
    assert!(!expected.is_empty());
}

#[test]
fn a_filter_records_what_it_shows_of_the_whole() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let traces = traces();
    let shown = events(&traces.run.trace, &["--filter", CONDITION]);
    assert_same(
        &traces.events("condition"),
        &shown.iter().collect::<Vec<_>>(),
    );
}

#[test]
fn a_further_trace_is_as_if_it_were_the_only_one() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let traces = traces();
    let bytes = |path: &Path| std::fs::read(path).expect("a trace");
    assert!(bytes(&traces.path("same")) == bytes(&traces.run.trace));
}

#[test]
fn a_recording_is_commanded_while_it_runs() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("control");
    let name = socket.display().to_string();
    // A guest that would run for much longer than the test waits.
    let ring = dir.path().join("ring");
    let recording = std::thread::spawn({
        let name = name.clone();
        let session = format!("trace={},mode=overwrite", ring.display());
        let options = [
            "--control",
            &name,
            "--timeout",
            "120",
            "--session",
            &session,
        ];
        let options = options.map(str::to_owned);
        move || record(KERNEL, "shell", &options.each_ref().map(String::as_str))
    });
    let ctl = |words: &[&str]| {
        let output = std::process::Command::new(guesttrace_tests::guesttrace())
            .args(["ctl", &name])
            .args(words)
            .output()
            .expect("cargo build --release comes first");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let status = || {
        let (_, text) = ctl(&["status"]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default()
    };
    let wait_until = |is_so: &dyn Fn(&serde_json::Value) -> bool| {
        // Not for long in practice; a recording that ended is found out below.
        for _ in 0..600 {
            if is_so(&status()) || recording.is_finished() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    wait_until(&|status| status["traces"][0]["records"].as_u64() > Some(1000));
    assert!(ctl(&["mark", "one"]).0 && ctl(&["stop"]).0);
    wait_until(&|status| status["traces"][0]["recording"] == false);
    assert!(ctl(&["mark", "lost"]).0 && ctl(&["start"]).0);
    wait_until(&|status| status["traces"][0]["recording"] == true);
    assert!(ctl(&["mark", "two"]).0 && ctl(&["snapshot"]).0);
    assert!(ctl(&["quit"]).0);
    let run = recording.join().expect("a recording");
    assert_eq!(run.status, 0, "{}", run.complaints);
    let told: Vec<(String, String)> = events(&run.trace, &["--event", "recording_*"])
        .iter()
        .map(|event| {
            let text = format!("{}{}", event.text("text"), event.text("reason"));
            (event.name().to_owned(), text)
        })
        .collect();
    let row = |name: &str, text: &str| (format!("recording_{name}"), text.to_owned());
    let (stop, start) = (row("stop", "command"), row("start", "command"));
    assert_eq!(told, [row("mark", "one"), stop, start, row("mark", "two")]);
    assert!(!socket.exists());
    let snapshots = events(&ring, &["--event", "recording_snapshot"]);
    let reasons: Vec<_> = snapshots.iter().map(|event| event.text("reason")).collect();
    assert_eq!(reasons, ["command"]);
}

#[test]
fn what_is_looked_out_for_is_told_as_it_is_recorded() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let traces = traces();
    let told = std::fs::read_to_string(traces.path("told")).unwrap();
    let told: Vec<Event> = told
        .lines()
        .map(|line| Event {
            json: serde_json::from_str(line).unwrap(),
        })
        .collect();
    let shown = events(&traces.run.trace, &["--filter", LOOKED_OUT_FOR]);
    assert_same(&told, &shown.iter().collect::<Vec<_>>());
}

#[test]
fn a_system_call_is_placed_by_its_callers() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let traces = traces();
    let call = traces
        .all
        .iter()
        .find(|event| event.text("name") == "getpgid" && event.json["fields"]["arg0"] == "0x1");
    let placed = call.expect("the call").field("ip");
    let mut lines = traces.run.console.lines();
    let told = lines.find_map(|line| line.trim().strip_prefix("caller 2 0x"));
    assert_eq!(Some(format!("{placed:x}").as_str()), told);
}

/// The process that said it is now another's.
fn identity(traces: &Traces, name: &str) -> u64 {
    let line = format!("identity {name} ");
    let mut lines = traces.run.console.lines();
    let pid = lines.find_map(|text| text.strip_prefix(&line));
    pid.and_then(|pid| pid.trim().parse().ok())
        .unwrap_or_else(|| panic!("no line {line}"))
}

/// Events of a process from the call on that made it another's, and of its child; up to their ends.
fn after_call<'a>(traces: &'a Traces, pid: u64, call: &str, with_child: bool) -> Vec<&'a Event> {
    let child = traces.all.iter().find(|event| {
        event.name() == "sched_process_fork" && event.field("parent_tgid").cast_unsigned() == pid
    });
    let child = child.map_or(0, |fork| fork.field("child_tgid").cast_unsigned());
    let mut changed = false;
    let mut ended = BTreeSet::new();
    let mut found = Vec::new();
    for event in &traces.all {
        let whose = event.number("pid");
        let is_changing =
            whose == pid && event.name() == "syscall_exit" && event.text("name") == call;
        changed |= is_changing;
        let is_one = changed && (whose == pid || whose == child && with_child);
        if is_one && !ended.contains(&whose) {
            found.push(event);
            if event.name() == "sched_process_exit" {
                ended.insert(whose);
            }
        }
    }
    assert_eq!(
        ended.len(),
        if with_child { 2 } else { 1 },
        "{pid} and {child}"
    );
    found
}

/// Without what happens between the entry of the call that changes and its exit, and after the end.
fn certain<'a>(recorded: &'a [Event], expected: &[&Event]) -> Vec<&'a Event> {
    let first = expected[0].number("tsc");
    let mut ended = BTreeSet::new();
    let mut found = Vec::new();
    for event in recorded.iter().filter(|event| event.number("tsc") >= first) {
        if !ended.contains(&event.number("pid")) {
            found.push(event);
        }
        if event.name() == "sched_process_exit" {
            ended.insert(event.number("pid"));
        }
    }
    found
}

fn check_identity(name: &str, call: &str, with_child: bool) {
    let traces = traces();
    let pid = identity(traces, name);
    let expected = after_call(traces, pid, call, with_child);
    let mut recorded = traces.events(name);
    if !with_child {
        // Others lead a session or a group too.
        recorded.retain(|event| event.number("pid") == pid);
    }
    let early = recorded
        .iter()
        .take_while(|event| event.number("tsc") < expected[0].number("tsc"));
    // At most the interrupts and traps inside the call itself.
    let names: BTreeSet<_> = early.clone().map(Event::name).collect();
    assert!(!names.contains("syscall_entry"), "{name}: {names:?}");
    let found: Vec<Event> = certain(&recorded, &expected).into_iter().cloned().collect();
    assert_same(&found, &expected);
}

#[test]
fn masks_tell_whose_an_event_is() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    check_identity("user", "setuid", true);
    check_identity("group", "setgid", true);
    check_identity("cgroup", "write", true);
    // A child is in the session and the group, but does not lead it.
    check_identity("session", "setsid", false);
    check_identity("process_group", "setpgid", false);
}

#[test]
fn children_are_followed_from_birth() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let traces = traces();
    let mut followed = BTreeSet::from([1]);
    let mut expected = Vec::new();
    for event in &traces.all {
        if followed.contains(&event.number("pid")) {
            expected.push(event);
        }
        if event.name() == "sched_process_fork"
            && followed.contains(&event.field("parent_tgid").cast_unsigned())
        {
            followed.insert(event.field("child_tgid").cast_unsigned());
        }
    }
    assert!(followed.len() > 10 && expected.len() < traces.all.len());
    assert_same(&traces.events("children"), &expected);
}

#[test]
fn fewer_details_are_the_same_events() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let traces = traces();
    let found = traces.events("details");
    assert_eq!(found.len(), traces.all.len());
    for (found, whole) in found.iter().zip(&traces.all) {
        let mut expected = whole.clone();
        if let Some(fields) = expected.json["fields"].as_object_mut() {
            match whole.name() {
                "sched_switch" => fields.retain(|name, _| name == "next_pid"),
                "syscall_entry" | "syscall_exit" => fields.clear(),
                _ => {}
            }
        }
        assert_eq!(*found, expected);
    }
}

/// What the guest's /proc says of every thread: its number, name and the process that made its own.
fn threads_of_proc(console: &str) -> BTreeMap<u64, (String, u64)> {
    let lines = console
        .lines()
        .filter_map(|line| line.trim().strip_prefix("exists "));
    let thread = |line: &str| {
        let (number, rest) = line.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let parent = rest.split(' ').nth(1)?.parse().ok()?;
        // /proc adds to the name of a worker what it works for.
        let end = name
            .find(['-', '+'])
            .filter(|_| name.starts_with("kworker/"));
        let name = &name[..end.unwrap_or(name.len())];
        // It also has more of the name of a kernel thread than the 15 bytes that the thread itself has.
        let name = name[..name.len().min(15)].to_owned();
        Some((number.parse().ok()?, (name, parent)))
    };
    lines.filter_map(thread).collect()
}

#[test]
fn a_late_start_knows_what_exists() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let traces = traces();
    let late = traces.events("late");
    let named = |name: &str| {
        late.iter()
            .filter(move |event| event.name() == name)
            .cloned()
            .collect::<Vec<_>>()
    };
    let found: BTreeMap<u64, (String, u64)> = named("task_state")
        .iter()
        .map(|row| {
            let parent = row.field("ppid").cast_unsigned();
            (
                row.field("pid").cast_unsigned(),
                (row.text("comm").to_owned(), parent),
            )
        })
        .collect();
    let proc = threads_of_proc(&traces.run.console);
    assert!(proc.len() > 40, "{}", traces.run.console);
    assert_eq!(found, proc);
    let files: BTreeSet<_> = named("open_file")
        .iter()
        .filter(|row| row.field("pid") == 1)
        .map(|row| format!("/proc/1/fd/{}", row.field("fd")))
        .collect();
    let open = traces
        .run
        .console
        .lines()
        .filter_map(|line| line.trim().strip_prefix("open "));
    assert_eq!(files, open.map(str::to_owned).collect());
    // From the marker on everything is there.
    let start = traces
        .all
        .iter()
        .position(|event| event.text("text").contains("phase-state"))
        .unwrap();
    let after = late.iter().skip_while(|event| event.name() != "printk");
    let after: Vec<Event> = after.cloned().collect();
    assert_same(&after, &traces.all[start..].iter().collect::<Vec<_>>());
}

#[test]
fn gaps_are_where_they_were_asked_for() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let traces = traces();
    let window = traces.events("window");
    let rows: Vec<(&str, &str)> = window
        .iter()
        .filter(|event| event.name().starts_with("recording_"))
        .map(|event| (event.name(), event.text("reason")))
        .collect();
    let (start, stop) = ("recording_start", "recording_stop");
    assert_eq!(
        rows,
        [
            (stop, "waits for its start"),
            (start, "time"),
            (stop, "time"),
            (start, "condition"),
            (stop, "condition")
        ]
    );
    let own = |event: &&Event| {
        event.json["event"] == "task_state"
            || event.json["event"] == "open_file"
            || event.name().starts_with("recording_")
    };
    let recorded: Vec<Event> = window.iter().filter(|event| !own(event)).cloned().collect();
    let call = traces
        .all
        .iter()
        .position(|event| event.name() == "syscall_entry" && event.text("name") == "setsid");
    let from_call = &traces.all[call.unwrap()..];
    let exit = from_call
        .iter()
        .position(|event| event.name() == "sched_process_exit");
    let within = |event: &&Event| (6_000_000_000..6_200_000_000).contains(&event.number("time_ns"));
    let expected = traces.all.iter().filter(within).count() + exit.unwrap();
    // A time is due at the first event that is known to be later, and the function begins after the call's entry.
    assert!(
        recorded.len().abs_diff(expected) <= 3 && !recorded.is_empty(),
        "{} {expected}",
        recorded.len()
    );
    let known: BTreeSet<String> = traces
        .all
        .iter()
        .map(|event| event.json.to_string())
        .collect();
    assert!(
        recorded
            .iter()
            .all(|event| known.contains(&event.json.to_string()))
    );
    let report = report(&traces.path("window"));
    assert!(report.contains("3 (recording_gaps)"), "{report}");
}

fn report(trace: &Path) -> String {
    let output = std::process::Command::new(guesttrace_tests::guesttrace())
        .args(["report", "processes"])
        .arg(trace)
        .output()
        .expect("cargo build --release comes first");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn namespaces_are_those_of_proc() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let traces = traces();
    // Seven lines of each of two shells, such as `namespace net:[4026531840]`.
    let lines = traces.run.console.lines().filter_map(|line| {
        let (name, number) = line.trim().strip_prefix("namespace ")?.split_once(":[")?;
        Some((name, number.strip_suffix(']')?.parse::<i64>().ok()?))
    });
    let printed: Vec<(&str, i64)> = lines.collect();
    assert_eq!(printed.len(), 14, "{}", traces.run.console);
    // Each by a process of its own.
    let readers = ["phase-namespaces", "phase-own-namespaces"];
    let readers = readers.into_iter().flat_map(|mark| {
        let is_mark = move |event: &&Event| event.text("text").trim_end().ends_with(mark);
        let behind = traces.all.iter().skip_while(move |event| !is_mark(event));
        let exits = behind.filter(|event| event.name() == "sched_process_exit");
        exits.take(7)
    });
    for (reader, (name, number)) in readers.zip(&printed) {
        assert_eq!(
            reader.field(&format!("current_{name}_ns")),
            *number,
            "{name}"
        );
    }
    let own = printed[..7].iter().zip(&printed[7..]);
    let changed: Vec<&str> = own.filter(|(a, b)| a != b).map(|(_, b)| b.0).collect();
    assert_eq!(changed, ["ipc", "mnt", "net", "uts"]);
}
