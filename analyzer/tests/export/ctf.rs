//! CTF: babeltrace2 reads it without a complaint, and sees the same events at the same ticks with the same values.

use std::path::Path;
use std::process::Command;

use analyzer::export::{CtfVersion, Wanted, ctf};
use analyzer::model::{GuestNanos, Pid, Span};
use analyzer::report::Selection;
use analyzer::sources::Trace;
use expect_test::{expect, expect_file};
use guesttrace_tests::skip;
use trace_format::FieldKind;

use crate::source::{Event, Field, Held, all, events, golden, of_script, recorded, with};

/// What babeltrace2 prints and complains about; `None` where it is not installed.
fn babeltrace(directory: &Path, options: &[&str]) -> Option<(String, String)> {
    let run = Command::new("babeltrace2")
        .args(options)
        .arg(directory)
        .output();
    let run = run.ok()?;
    let stderr = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "babeltrace2 fails: {stderr}");
    Some((String::from_utf8_lossy(&run.stdout).into_owned(), stderr))
}

fn export(trace: &Trace, wanted: &Wanted) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    with(trace, wanted, |job| {
        ctf(job, CtfVersion::V1, directory.path())
    })
    .unwrap();
    directory
}

/// A line of babeltrace2 without its separators: ticks, CPU, name, fields.
type Line = (u64, u32, String, String);

fn lines(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let (ticks, rest) = line.strip_prefix('[')?.split_once("] ")?;
        let (name, rest) = rest.split_once(": { cpu_id = ")?;
        let (cpu, fields) = rest.split_once(" }, {")?;
        let fields = fields.strip_suffix('}')?.trim();
        Some((
            ticks.parse().ok()?,
            cpu.parse().ok()?,
            name.to_owned(),
            fields.to_owned(),
        ))
    };
    text.lines()
        .map(|text| line(text).unwrap_or_else(|| panic!("not understood: {text}")))
        .collect()
}

/// LTTng's name of an event of ours.
fn lttng_name(event: &Event) -> String {
    match event.name.as_str() {
        "softirq_raise" | "softirq_entry" | "softirq_exit" => format!("irq_{}", event.name),
        "hrtimer_start" | "hrtimer_cancel" | "hrtimer_expire_entry" | "hrtimer_expire_exit" => {
            format!("timer_{}", event.name)
        }
        "mm_page_alloc" | "mm_page_free" => format!("kmem_{}", event.name),
        "netif_receive_skb" => "net_if_receive_skb".to_owned(),
        "cpu_idle" => "power_cpu_idle".to_owned(),
        "printk" => "printk_console".to_owned(),
        "task_state" => "lttng_statedump_process_state".to_owned(),
        "syscall_entry" | "syscall_exit" | "compat_syscall_entry" | "compat_syscall_exit" => {
            let name = event.fields.iter().find(|field| field.name == "name");
            let name = name
                .and_then(|field| field.label.as_deref())
                .unwrap_or("unknown");
            format!("{}_{name}", event.name)
        }
        name => name.to_owned(),
    }
}

/// A value as babeltrace2 prints it.
fn printed(field: &Field, is_plain: bool) -> String {
    let number = |number: u64| match &field.kind {
        FieldKind::Hex => format!("0x{number:X}"),
        FieldKind::Signed => format!("{}", number.cast_signed()),
        FieldKind::Bool => u8::from(number != 0).to_string(),
        FieldKind::Enum(_) if is_plain => format!("{}", number.cast_signed()),
        FieldKind::Enum(_) => {
            let label = field.label.as_ref().map(|label| format!("\"{label}\""));
            let label = label.unwrap_or("<unknown>".to_owned());
            format!("( {label} : container = {} )", number.cast_signed())
        }
        _ => number.to_string(),
    };
    match &field.value {
        // LTTng counts priorities from the lowest one of real-time threads.
        Held::Number(value) if field.name.ends_with("prio") => {
            format!("{}", value.cast_signed() - 100)
        }
        Held::Number(value) => number(*value),
        Held::Missing => String::new(),
        Held::Bytes(bytes) if field.kind == FieldKind::Text => {
            let text = String::from_utf8_lossy(bytes).replace('\\', "\\\\");
            let text = text
                .replace('"', "\\\"")
                .replace('\'', "\\'")
                .replace('\t', "\\t")
                .replace('\n', "\\n");
            format!("\"{text}\"")
        }
        Held::Bytes(_) => "[".to_owned(),
    }
}

/// Whether LTTng has the event, too: values that have names are plain numbers there.
fn is_lttngs(event: &Event) -> bool {
    lttng_name(event) != event.name || event.name.starts_with("sched_")
}

/// Every event is there, and each of its values in its place. What is there besides are states of threads.
fn check_against(events: &[Event], lines: &[Line]) {
    let mut lines = lines.iter();
    for event in events {
        let expected = (event.tsc, event.cpu, lttng_name(event));
        let line = lines.find(|(ticks, cpu, name, fields)| {
            let is_it = (*ticks, *cpu, name.clone()) == expected
                && (event.name != "task_state" || fields.contains("kthread"));
            assert!(
                is_it || name == "lttng_statedump_process_state",
                "{expected:?} comes as {ticks} {cpu} {name}"
            );
            is_it
        });
        let (.., name, text) = line.unwrap_or_else(|| panic!("{expected:?} does not come"));
        let is_call = name != &event.name && event.name.contains("syscall");
        let mut rest = text.as_str();
        for field in &event.fields {
            if is_call && field.name == "name" {
                continue;
            }
            // There is no such member; and in place of an empty text babeltrace2 2.0.4 prints that of an earlier event.
            if field.value == Held::Missing || field.value == Held::Bytes(Vec::new()) {
                continue;
            }
            let value = format!(" = {}", printed(field, is_lttngs(event)));
            let at = rest.find(&value);
            let at = at.unwrap_or_else(|| panic!("{expected:?}: {} {value} in {text}", field.name));
            rest = &rest[at + value.len()..];
        }
        // Requests and threads have members that are made of others, and some texts have such signs of their own.
        let has_more = event.name == "task_state" || event.name.starts_with("block_rq");
        let is_plain = |field: &Field| !matches!(field.value, Held::Bytes(_));
        if !has_more && event.fields.iter().all(is_plain) {
            let fields = event.fields.iter();
            let fields = fields.filter(|field| !(is_call && field.name == "name"));
            let present = fields.filter(|field| field.value != Held::Missing).count();
            let members = text.matches(" = ").count() - text.matches(" : container = ").count();
            assert_eq!(members, present, "{expected:?}: {text}");
        }
    }
    let more: Vec<&str> = lines.map(|(.., name, _)| name.as_str()).collect();
    assert!(more.is_empty(), "more events than there are: {more:?}");
}

#[test]
fn babeltrace2_sees_what_is_in_the_trace() {
    for name in ["first_program", "kernel_services", "lost_records"] {
        let trace = golden(name);
        let directory = export(&trace, &Wanted::default());
        let Some((text, complaints)) =
            babeltrace(directory.path(), &["--clock-cycles", "--no-delta"])
        else {
            skip!("babeltrace2 is not installed");
        };
        check_against(&events(&trace), &lines(&text));
        let complaints: Vec<&str> = complaints.lines().filter(|line| !line.is_empty()).collect();
        match (name, &complaints[..]) {
            ("lost_records", [line]) => assert!(line.contains("discarded 12 events"), "{line}"),
            (_, complaints) => assert_eq!(complaints, [""; 0], "{name}"),
        }
    }
}

#[test]
fn a_recorded_guest_is_the_same_to_babeltrace2() {
    let Some((_, trace)) = recorded() else {
        skip!("no recorded trace: name one by GUESTTRACE_EXPORT_TRACE");
    };
    let directory = export(&trace, &Wanted::default());
    let Some((text, complaints)) = babeltrace(directory.path(), &["--clock-cycles", "--no-delta"])
    else {
        skip!("babeltrace2 is not installed");
    };
    assert_eq!(complaints, "");
    check_against(&events(&trace), &lines(&text));
}

const SMALL: &str = "
0@0 thread_context tid=0 pid=0 comm=swapper/0
1000@0 sched_process_fork parent_comm=sh parent_pid=1 parent_tgid=1 child_comm=sh child_pid=7 child_tgid=7
2000@0 sched_switch prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R next_comm=sh next_pid=7 next_prio=120
2000@0 thread_context tid=7 pid=7 comm=sh
3000@0 syscall_entry nr=0 name=read ip=0x1000 arg0=0x3 arg1=0x2000 arg2=0x40 arg3=0x0 arg4=0x0 arg5=0x0
3500@0 softirq_entry vec=TIMER
3600@0 softirq_exit vec=TIMER
4000@0 syscall_exit nr=0 name=read ret=-11
5000@0 irq_entry vector=236 name=apic_timer_interrupt irq=-1 user=0
6000@0 sched_process_exec filename=/bin/a\"b pid=7 comm=ab
";

#[test]
fn events_have_lttngs_names() {
    let directory = export(&of_script(SMALL), &Wanted::default());
    let Some((text, _)) = babeltrace(directory.path(), &["--clock-cycles", "--no-delta"]) else {
        skip!("babeltrace2 is not installed");
    };
    expect_file!["lttng_names.txt"].assert_eq(&text);
    let metadata = std::fs::read_to_string(directory.path().join("metadata")).unwrap();
    let env = metadata.split("env {").nth(1).unwrap();
    let env = env.split("};").next().unwrap().trim().replace('\t', "");
    expect![[r#"
        domain = "kernel";
        tracer_name = "lttng-modules";
        tracer_major = 2;
        tracer_minor = 13;
        tracer_patchlevel = 0;
        sysname = "Linux";
        exported_by = "guesttrace 0.1.0";
        kernel_release = "6.1.0-test";
        kernel_version = "";
        recorded_by = "a test";
        clock_mode = "deterministic";"#]]
    .assert_eq(&env);
}

#[test]
fn a_part_begins_with_the_threads_that_there_are() {
    let trace = of_script(SMALL);
    let wanted = Wanted {
        selection: Selection {
            span: Span {
                start: GuestNanos(3500),
                end: GuestNanos(5000),
            },
            pids: vec![Pid(7)],
            ..Selection::default()
        },
        ..Wanted::default()
    };
    let directory = export(&trace, &wanted);
    let Some((text, _)) = babeltrace(directory.path(), &["--clock-cycles", "--no-delta"]) else {
        skip!("babeltrace2 is not installed");
    };
    expect![[r#"
        [00000000000001003500] lttng_statedump_process_state: { cpu_id = 0 }, { tid = 1, pid = 1, name = "", status = 0 }
        [00000000000001003500] lttng_statedump_process_state: { cpu_id = 0 }, { tid = 7, pid = 7, ppid = 1, name = "sh", status = 6 }
        [00000000000001003500] irq_softirq_entry: { cpu_id = 0 }, { vec = 1 }
        [00000000000001003600] irq_softirq_exit: { cpu_id = 0 }, { vec = 1 }
        [00000000000001004000] syscall_exit_read: { cpu_id = 0 }, { nr = 0, ret = -11 }
    "#]].assert_eq(&text);
}

/// Names that would end a string, a block or a comment, and such as no identifier may have.
#[test]
fn hostile_names_stay_names() {
    let mut schema = crate::synthetic::schema();
    let hostile = "\"; }; event { name = \"x\n\u{1}\\\u{202e}*/";
    let tick = schema
        .events
        .iter_mut()
        .find(|event| event.name == "tick")
        .unwrap();
    tick.name = hostile.to_owned();
    tick.fields[0].name = hostile.to_owned();
    let states = schema
        .enums
        .iter_mut()
        .find(|names| names.name == "task_state")
        .unwrap();
    states.values[0].1 = hostile.to_owned();
    let script = "
0@0 thread_context tid=0 pid=0 comm=swapper/0
2000@0 sched_switch prev_comm=a prev_pid=0 prev_prio=120 prev_state=0 next_comm=sh next_pid=7 next_prio=120
";
    let bytes = crate::synthetic::trace_of(script, 100, schema);
    let trace = Trace::Own(trace_format::TraceFile::from_bytes(bytes).unwrap());
    let directory = export(&trace, &Wanted::default());
    let Some((text, complaints)) = babeltrace(directory.path(), &["--clock-cycles", "--no-delta"])
    else {
        skip!("babeltrace2 is not installed");
    };
    assert_eq!(lines(&text).len(), 1, "{text}");
    assert_eq!(complaints, "");
}

/// Both versions have the same streams; the metadata of the second are JSON texts, each after its mark.
#[test]
fn version_2_differs_in_its_metadata_alone() {
    let trace = golden("kernel_services");
    let [first, second] = [CtfVersion::V1, CtfVersion::V2].map(|version| {
        let directory = tempfile::tempdir().unwrap();
        all(&trace, |job| ctf(job, version, directory.path())).unwrap();
        directory
    });
    for file in ["channel0_0", "channel0_1", "index/channel0_0.idx"] {
        let [first, second] =
            [&first, &second].map(|at| std::fs::read(at.path().join(file)).unwrap());
        assert!(first == second, "{file}");
    }
    let metadata = std::fs::read_to_string(second.path().join("metadata")).unwrap();
    let fragments: Vec<serde_json::Value> = metadata
        .split('\u{1e}')
        .skip(1)
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let kinds = |kind: &str| {
        fragments
            .iter()
            .filter(|fragment| fragment["type"] == kind)
            .count()
    };
    assert_eq!(fragments[0]["version"], 2);
    let once = [
        "preamble",
        "trace-class",
        "clock-class",
        "data-stream-class",
    ];
    assert_eq!(once.map(kinds), [1; 4]);
    let text = std::fs::read_to_string(first.path().join("metadata")).unwrap();
    let declared = text.matches("\nevent {").count();
    assert_eq!(
        (kinds("event-record-class"), fragments.len()),
        (declared, declared + 4)
    );
}

/// Packets have the sizes and stamps that the index says, and no event lies outside of its packet's time.
#[test]
fn the_index_tells_of_every_packet() {
    let directory = export(&golden("lost_records"), &Wanted::default());
    let stream = std::fs::read(directory.path().join("channel0_0")).unwrap();
    let index = std::fs::read(directory.path().join("index/channel0_0.idx")).unwrap();
    let word = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap());
    assert_eq!([0, 4, 8, 12].map(word), [0xC1F1_DCC1, 1, 1, 72]);
    let mut expected_offset = 0;
    let mut discarded = Vec::new();
    for entry in index[16..].chunks(72) {
        let numbers: Vec<u64> = entry
            .chunks(8)
            .map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
            .collect();
        let offset = usize::try_from(numbers[0]).unwrap();
        assert_eq!(offset, expected_offset);
        let head = &stream[offset..];
        assert_eq!(head[..4], 0xC1FC_1FC1_u32.to_le_bytes());
        let number = |place: usize| {
            let at = 24 + 8 * place;
            u64::from_le_bytes(head[at..at + 8].try_into().unwrap())
        };
        // Begin, end, content, size; number, events discarded.
        let in_packet = [
            number(2),
            number(3),
            number(0),
            number(1),
            number(5),
            number(4),
        ];
        let in_index = [
            numbers[2], numbers[1], numbers[3], numbers[4], numbers[5], numbers[8],
        ];
        assert_eq!(in_packet, in_index);
        discarded.push(numbers[5]);
        expected_offset += usize::try_from(numbers[1] / 8).unwrap();
    }
    assert_eq!(expected_offset, stream.len());
    assert_eq!(discarded, [0, 12, 12]);
}
