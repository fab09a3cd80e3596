//! Conditions that the trace keeps by itself give the same rows as when the query engine looks at every row.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod support;

use guesttrace_sql::Format;
use guesttrace_tests::{Chance, fuzz_usually};
use support::{SCRIPTS, Sql, trace};

/// A condition, and the same in a way that is not understood.
fn condition(chance: &mut Chance) -> (String, String) {
    let number = |chance: &mut Chance, column: &str| match column {
        "time_ns" => chance.below(60_000),
        "tsc" => 1_000_000 + chance.below(60_000),
        "cpu" => chance.below(3),
        _ => chance.below(14),
    };
    let column = *chance.pick(&["time_ns", "tsc", "cpu", "tid", "pid"]);
    let (one, other) = (number(chance, column), number(chance, column));
    let operator = *chance.pick(&["=", "<", "<=", ">", ">=", "<>"]);
    let (text, opaque) = match chance.below(6) {
        0 => (
            format!("{column} BETWEEN {one} AND {other}"),
            format!("abs({column}) BETWEEN {one} AND {other}"),
        ),
        1 => (
            format!("{column} IN ({one}, {other})"),
            format!("abs({column}) IN ({one}, {other})"),
        ),
        2 => (
            format!("{one} {operator} {column}"),
            format!("{one} {operator} abs({column})"),
        ),
        3 => {
            let names = chance.pick(&[
                "'sched_switch'",
                "'tick', 'syscall_entry'",
                "'no_such'",
                "'a', 'b', 'c', 'tick', 'e'",
            ]);
            (
                format!("event IN ({names})"),
                format!("concat(event, '') IN ({names})"),
            )
        }
        4 => {
            let name = chance.pick(&["init", "swapper/0", "server"]);
            (
                format!("comm = '{name}'"),
                format!("concat(comm, '') = '{name}'"),
            )
        }
        _ => (
            format!("{column} {operator} {one}"),
            format!("abs({column}) {operator} {one}"),
        ),
    };
    if chance.once_in(5) {
        (format!("NOT ({text})"), format!("NOT ({opaque})"))
    } else {
        (text, opaque)
    }
}

#[test]
fn conditions_give_the_same_rows_wherever_they_are_kept() {
    let sessions = SCRIPTS.map(|script| Sql::of(trace(script)));
    let mut found = 0;
    fuzz_usually(60, |chance| {
        let sql = chance.pick(&sessions);
        let conditions: Vec<(String, String)> =
            (0..=chance.below(2)).map(|_| condition(chance)).collect();
        let glue = if chance.once_in(4) { " OR " } else { " AND " };
        let join = |texts: Vec<&str>| texts.join(glue);
        let here = join(conditions.iter().map(|(text, _)| text.as_str()).collect());
        let there = join(conditions.iter().map(|(_, text)| text.as_str()).collect());
        let rows = |condition: &str| {
            let query =
                format!("SELECT time_ns, cpu, tid, event, fields FROM events WHERE {condition}");
            sql.text(&query, Format::Csv).unwrap()
        };
        let kept = rows(&here);
        found += kept.lines().count() - 1;
        assert_eq!(kept, rows(&there), "{here}");
    });
    assert!(found > 0, "some conditions let rows through");
}

#[test]
fn times_bound_what_is_read_of_the_model() {
    let sql = Sql::of(trace("kernel_services"));
    for table in ["thread_states", "syscalls"] {
        for end in [0, 5_600, 9_000, 1_000_000] {
            let here = format!("SELECT * FROM {table} WHERE end_ns <= {end}");
            let there = format!("SELECT * FROM {table} WHERE abs(end_ns) <= {end}");
            assert_eq!(sql.rows(&here), sql.rows(&there), "{here}");
        }
    }
}

#[test]
fn plans_show_what_is_kept_by_the_trace() {
    let sql = Sql::of(trace("first_program"));
    let plan = |query: &str| {
        sql.text(&format!("EXPLAIN {query}"), Format::Table)
            .unwrap()
    };
    let kept = plan(
        "SELECT count(*) FROM events WHERE time_ns >= 10 AND event = 'tick' AND cpu IN (0, 1)",
    );
    assert!(!kept.contains("FilterExec"), "{kept}");
    let left = plan("SELECT count(*) FROM tick WHERE \"user\"");
    assert!(left.contains("FilterExec"), "{left}");
    let sorted = plan("SELECT time_ns, comm FROM sched_switch ORDER BY time_ns");
    assert!(
        !sorted.contains("SortExec"),
        "rows come in order of time: {sorted}"
    );
}
