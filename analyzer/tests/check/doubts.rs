//! What the trace cannot tell is not judged.

use analyzer::sources::Trace;
use expect_test::{Expect, expect};
use trace_format::{Schema, TraceFile};

use super::{open, script, synthetic, verdicts};

#[track_caller]
fn check_lossy(rules: &str, expected: Expect) {
    expected.assert_eq(&verdicts(&open(&script("lost_records")), None, rules));
}

#[test]
fn what_is_lost_is_not_judged() {
    check_lossy(
        r#"
[[count]]
name = "enough, whatever is lost"
events = 'event == sched_switch'
at_least = 2

[[count]]
name = "too many, whatever is lost"
events = 'event == sched_switch'
at_most = 1

[[count]]
name = "perhaps more"
events = 'event == sched_switch'
equals = 2

[[never]]
name = "perhaps lost"
events = 'event == sched_process_fork'

[[never]]
name = "before the loss"
events = 'event == sched_process_fork'
to = "150ns"

[[order]]
name = "decided before the loss"
first = 'event == syscall_entry'
then = 'event == sched_switch'

[[order]]
name = "decided behind it"
first = 'event == syscall_entry'
then = 'event == syscall_exit'

[[latency]]
name = "none is whole"
begin = 'event == syscall_entry'
end = 'event == syscall_exit'
max = "1s"

[[state]]
name = "part of a state"
comm = "sh"
state = "blocked"
longest = "500ns"

[[report]]
name = "a number"
report = "syscalls"
table = "calls"
rows = "count"
at_most = 10
"#,
        expect![[r#"
            passed  enough, whatever is lost
            failed  too many, whatever is lost
                    expected at most 1
                    found    2
                      [0.000001000] 0 cat:9 sched_switch: { prev_comm = "cat", prev_pid = 9, prev_prio = 120, prev_state = S, next_comm = "sh", next_pid = 7, next_prio = 120 }
                    rule of rules.toml line 7
            unknown perhaps more
                    expected exactly 2
                    found    2
                    because  events are missing, the first after 0.000000200 s
                    rule of rules.toml line 12
            unknown perhaps lost
                    expected none
                    found    none
                    because  events are missing, the first after 0.000000200 s
                    rule of rules.toml line 17
            passed  before the loss
            passed  decided before the loss
            unknown decided behind it
                    expected the first before the second
                    found    1 us later
                    because  events are missing, the first after 0.000000200 s
                    rule of rules.toml line 31
            unknown none is whole
                    expected max at most 1 s
                    found    0 periods, max 0 ns
                    because  events are missing, the first after 0.000000200 s
                    rule of rules.toml line 36
            unknown part of a state
                    expected blocked for at most 500 ns at a stretch
                    found    sh:7: blocked for 0 ns of 1.3 us (0 %), longest 0 ns
                    because  of 800 ns the trace does not tell the state
                    rule of rules.toml line 42
            unknown a number
                    expected at most 10
                    found    no such row
                    because  the table "calls" has no rows: were its events recorded?
                    rule of rules.toml line 48
            10 rules: 3 passed, 1 failed, 6 unknown
        "#]],
    );
}

/// The schema without some events: a trace that did not record them.
fn without(script: &str, events: &[&str]) -> Trace {
    let keep = |line: &&str| !events.iter().any(|event| line.contains(event));
    let script: Vec<&str> = script.lines().filter(keep).collect();
    let schema = synthetic::schema();
    let kept = schema
        .events
        .into_iter()
        .filter(|event| !events.contains(&event.name.as_str()));
    let schema = Schema {
        events: kept.collect(),
        enums: schema.enums,
    };
    let bytes = synthetic::trace_of(&script.join("\n"), 1000, schema);
    Trace::Own(TraceFile::from_bytes(bytes).unwrap())
}

#[test]
fn what_was_not_recorded_is_not_judged() {
    let trace = without(
        &script("first_program"),
        &["signal_generate", "tick", "oom_mark_victim"],
    );
    let rules = r#"
[[never]]
name = "named"
events = 'event == signal_generate'

[[never]]
name = "one of two"
events = 'event == signal_generate || event == signal_deliver'

[[never]]
name = "by pattern"
events = 'event =~ "signal_*"'

[[count]]
name = "by pattern, enough of it"
events = 'event =~ "s*"'
at_least = 1

[[never]]
name = "by a field"
events = 'sig == 9'

[[count]]
name = "of a kernel that has no such event"
events = 'event == tasklet_entry'
at_least = 0
at_most = 5

[[latency]]
name = "without its end"
begin = 'event == syscall_entry'
end = 'event == tick'
max = "1s"
"#;
    expect![[r#"
        unknown named
                expected none
                found    not recorded
                because  the event signal_generate was not recorded
                rule of rules.toml line 2
        unknown one of two
                expected none
                found    not recorded
                because  the event signal_generate was not recorded
                rule of rules.toml line 6
        unknown by pattern
                expected none
                found    none
                because  not recorded: signal_generate
                rule of rules.toml line 10
        passed  by pattern, enough of it
        unknown by a field
                expected none
                found    none
                because  not recorded: signal_generate
                rule of rules.toml line 19
        passed  of a kernel that has no such event
        unknown without its end
                expected events to measure
                found    not recorded
                because  the event tick was not recorded
                rule of rules.toml line 29
        7 rules: 2 passed, 0 failed, 5 unknown
    "#]]
    .assert_eq(&verdicts(&trace, None, rules));
}

#[test]
fn a_field_that_could_not_be_fetched_is_not_judged() {
    let script = script("first_program").replace(" ret=5", "");
    let rules = r#"
[[never]]
name = "no call returns 5"
events = 'syscall_exit.ret == 5'

[[count]]
name = "it may have"
events = 'syscall_exit.ret == 5'
at_most = 1

[[count]]
name = "others have"
events = 'syscall_exit.ret == 3'
at_least = 1
"#;
    expect![[r#"
        unknown no call returns 5
                expected none
                found    none
                because  an event lacks a field that decides
                  [0.000020000] 1 init:3 syscall_exit: { nr = 1, name = write, ret = ? }
                rule of rules.toml line 2
        unknown it may have
                expected at most 1
                found    0
                because  an event lacks a field that decides
                  [0.000020000] 1 init:3 syscall_exit: { nr = 1, name = write, ret = ? }
                rule of rules.toml line 6
        passed  others have
        3 rules: 1 passed, 0 failed, 2 unknown
    "#]]
    .assert_eq(&verdicts(&open(&script), None, rules));
}

#[test]
fn a_recording_with_a_hole_or_without_its_end_is_not_judged_there() {
    let script = script("first_program").replace(
        "17500@0 cpu_idle state=1 cpu=0\n",
        "17500@0 recording_stop\n17600@0 recording_start\n17600@0 thread_context tid=0 pid=0 comm=swapper/0\n",
    );
    let rules = r#"
[[never]]
name = "all the time"
events = 'event == module_load'

[[never]]
name = "before the hole"
events = 'event == module_load'
to = "17us"
"#;
    expect![[r#"
        unknown all the time
                expected none
                found    none
                because  events are missing, the first after 0.000017500 s
                rule of rules.toml line 2
        passed  before the hole
        2 rules: 1 passed, 0 failed, 1 unknown
    "#]]
    .assert_eq(&verdicts(&open(&script), None, rules));
    let mut bytes = synthetic::trace(&super::script("first_program"), 10);
    bytes.truncate(bytes.len() * 3 / 4);
    let cut = Trace::Own(TraceFile::from_bytes(bytes).unwrap());
    let found = verdicts(&cut, None, rules);
    assert!(found.starts_with("unknown all the time\n"), "{found}");
    assert!(found.contains(" is cut: "), "{found}");
}
