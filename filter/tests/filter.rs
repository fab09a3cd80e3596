//! What each form of the grammar lets through: the letters are those of the events that match.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use guesttrace_filter::{Context, Filter, FilterError, Source};
use support::{samples, schema};
use trace_format::EventId;

/// The events let through: `s`witch, `w`aking, `t`rap, `x` for exit.
fn matching(text: &str) -> Result<String, FilterError> {
    let filter = Filter::parse(text)?.bind(&schema())?;
    let letters = samples().into_iter().zip("swtx".chars());
    Ok(letters
        .filter(|(row, _)| filter.matches(row))
        .map(|(_, letter)| letter)
        .collect())
}

fn check(cases: &[(&str, &str)]) {
    let mut wrong = BTreeMap::new();
    for (text, expected) in cases {
        match matching(text) {
            Ok(found) if found == *expected => {}
            other => drop(wrong.insert(*text, format!("expected {expected:?}, got {other:?}"))),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_of_event_and_context() {
    check(&[
        ("event == sched_switch", "s"),
        ("event == \"sched_switch\"", "s"),
        ("event != 'sched_switch'", "wtx"),
        ("'sched_switch' == event", "s"),
        ("event in (sched_switch, trap_entry)", "st"),
        ("event not in (sched_switch, trap_entry)", "wx"),
        ("event =~ \"sched_*\"", "sw"),
        ("event =~ 'exit'", "x"),
        ("event ~ 'exit'", "x"),
        ("category == sched", "sw"),
        ("cpu == 1", "tx"),
        ("pid == 100", "swtx"),
        ("tid == 101", "tx"),
        ("comm == \"bash\"", "st"),
        ("time < 1ms", "s"),
        ("time >= 3s", "tx"),
        ("tsc == 1007", "s"),
    ]);
}

#[test]
fn fields_and_missing_ones() {
    check(&[
        ("prev_pid == 100", "s"),
        ("prev_pid != 1", "s"),
        ("!(prev_pid == 1)", "swtx"),
        ("!(prev_pid == 100)", "wtx"),
        ("timeout != 5", ""),
        ("timeout not in (5)", ""),
        ("!(timeout == 5)", "swtx"),
        ("sched_switch.prev_pid == 100", "s"),
        ("event.pid == 7", "w"),
        ("sched_waking.pid == 7", "w"),
        ("sched_waking.pid == 100", ""),
        ("prev_pid == tid", "s"),
        ("prev_pid < next_pid", "s"),
        ("next_pid <= prev_pid", ""),
    ]);
}

#[test]
fn numbers_by_value() {
    check(&[
        ("ret == -14", "x"),
        ("ret < 0", "x"),
        ("ret > -15", "x"),
        ("ret == 0xfffffffffffffff2", "x"),
        ("ret == 0xffff_ffff_ffff_fff2", "x"),
        ("ret in (-1, -14)", "x"),
        ("ret == 18446744073709551602", ""),
        ("address == 0xffff888000001000", "t"),
        ("address > 0xffff_8880_0000_0000", "t"),
        ("address >= 18446612682070011904", "t"),
        ("100 == prev_pid", "s"),
        ("99 < prev_pid", "s"),
        ("100 < prev_pid", ""),
        ("size > 4KiB", "x"),
        ("size == 8KiB", "x"),
        ("size == 0.0078125MiB", "x"),
        ("size == 8_192", "x"),
        ("size in (4KiB, 8KiB)", "x"),
        ("delay == 1500", "w"),
        ("delay == 1500us", "w"),
        ("delay == 1.5ms", "w"),
        ("delay > 1499999ns", "w"),
        ("delay < 1499999ns", ""),
        ("delay in (1.5ms, 7s)", "w"),
        ("delay not in (1.5ms, 7s)", ""),
        ("is_write", "x"),
        ("is_write == true", "x"),
        ("is_write == false", ""),
        ("next_comm", "s"),
        ("delay", "w"),
        ("cpu", "tx"),
    ]);
}

#[test]
fn enumerations_by_name() {
    check(&[
        ("name == page_fault", "t"),
        ("name == \"page_fault\"", "t"),
        ("\"page_fault\" == name", "t"),
        ("name != invalid_op", "t"),
        ("name == 14", "t"),
        ("name in (page_fault, invalid_op)", "t"),
        ("name == \"cc1\"", "w"),
        ("name =~ \"*c*\"", "w"),
        ("name =~ \"fault\"", "t"),
        ("prev_state == disk_sleep", "s"),
        ("prev_state =~ '*sleep*'", "s"),
        ("prev_state > running", "s"),
        ("prev_state in (running, sleeping)", ""),
    ]);
}

#[test]
fn text_and_patterns() {
    check(&[
        ("next_comm == 'kworker/0:1'", "s"),
        ("next_comm != 'x'", "s"),
        ("next_comm > 'k' && next_comm < 'l'", "s"),
        ("next_comm in ('a', \"kworker/0:1\")", "s"),
        ("next_comm not in ('a', 'b')", "s"),
        ("next_comm =~ 'worker'", "s"),
        ("next_comm =~ 'k*:?'", "s"),
        ("next_comm =~ 'worker*'", ""),
        ("next_comm =~ '*'", "s"),
        ("next_comm =~ ''", "s"),
        ("next_comm =~ '*/?:?'", "s"),
        ("next_comm =~ 'k\\*'", ""),
        ("next_comm == 'kw\\x6frker/0:1'", "s"),
        ("comm =~ 'swapper/?'", "w"),
        ("comm != next_comm", "s"),
    ]);
}

#[test]
fn operators_bind_as_usual() {
    check(&[
        (
            "event == sched_switch || event == trap_entry && cpu == 0",
            "s",
        ),
        (
            "(event == sched_switch || event == trap_entry) && cpu == 0",
            "s",
        ),
        (
            "(event == sched_switch or event == trap_entry) and cpu == 1",
            "t",
        ),
        ("not cpu == 1 and not prev_pid == 100", "w"),
        ("!cpu == 1", "sw"),
        ("!!(cpu == 1)", "tx"),
        ("cpu == 1 && (tid == 101) && !(comm == 'cat')", "t"),
        ("cpu==0&&prev_pid==100||cpu==1&&name==page_fault", "st"),
        (" \t\n cpu == 1 \r\n", "tx"),
    ]);
}

#[test]
fn event_alone_decides_where_it_can() {
    let filter =
        Filter::parse("event == sched_switch || prev_pid == 3 || name == page_fault").unwrap();
    let bound = filter.bind(&schema()).unwrap();
    let decided: Vec<_> = schema()
        .events
        .iter()
        .map(|event| bound.decided_by_event(event.id))
        .collect();
    assert_eq!(decided, [Some(true), Some(false), None, Some(false)]);
    assert_eq!(
        bound.decided_by_event(trace_format::EventId(9)),
        Some(false)
    );
}

#[test]
fn long_chains_need_no_depth() {
    let chain = vec!["cpu == 1"; 20_000].join(" || ");
    check(&[(&chain, "tx")]);
}

#[test]
fn filter_remembers_its_text() {
    assert_eq!(Filter::parse("cpu == 1").unwrap().text(), "cpu == 1");
}

#[test]
fn a_recording_knows_the_running_thread_better() {
    let bind = |text| {
        let filter = Filter::parse(text).unwrap();
        filter.bind_for_recording(&schema()).unwrap()
    };
    let filter = bind("current.uid == 1000 && current.cgroup =~ \"ssh*\" || ret < 0");
    let uses = |context| filter.uses(context);
    assert!(uses(Context::Uid) && uses(Context::Cgroup) && !uses(Context::Gid));
    assert_eq!(
        filter.sources(EventId(60)).last(),
        Some(Source::Field(0)),
        "ret of syscall_exit"
    );
    assert_eq!(filter.sources(EventId(40)).count(), 2);
    // The samples know nothing of a user.
    let matched = samples().iter().filter(|row| filter.matches(*row)).count();
    assert_eq!(matched, 1);
}

#[test]
fn what_is_known_beforehand_decides_where_it_can() {
    let foresee = |text| {
        let filter = Filter::parse(text).unwrap().bind(&schema()).unwrap();
        let known = |source| matches!(source, Source::Context(_));
        let decisions = samples()
            .iter()
            .map(|row| match filter.foresee(row, known) {
                Some(true) => 'y',
                Some(false) => 'n',
                None => '?',
            })
            .collect::<String>();
        for (row, decision) in samples().iter().zip(decisions.chars()) {
            assert!(decision == '?' || (decision == 'y') == filter.matches(row));
        }
        decisions
    };
    // The samples are sched_switch, sched_waking, trap_entry and syscall_exit.
    assert_eq!(foresee("tid == 101"), "nnyy");
    assert_eq!(foresee("tid == 101 && ret < 0"), "nnn?");
    assert_eq!(foresee("tid == 101 || ret < 0"), "nnyy");
    assert_eq!(foresee("!(tid == 101 && ret < 0)"), "yyy?");
    assert_eq!(foresee("prev_pid == tid"), "?nnn");
    assert_eq!(foresee("cpu == 0 || ret < 0 && comm == \"cat\""), "yyn?");
}
