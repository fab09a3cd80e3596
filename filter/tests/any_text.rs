//! Whatever the text is: no panic, no endless work, and the same answer as a plain reading of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use guesttrace_filter::Filter;
use guesttrace_tests::fuzz;
use proptest::prelude::*;
use support::{samples, schema};

fn exhaust(text: &str) {
    match Filter::parse(text).and_then(|filter| filter.bind(&schema())) {
        Ok(bound) => {
            let _ = samples().iter().filter(|row| bound.matches(*row)).count();
        }
        Err(error) => {
            let span = error.span();
            assert!(
                text.get(span).is_some(),
                "{text:?}: span is not in the text"
            );
            assert!(error.to_string().lines().count() >= 3);
        }
    }
}

/// Words of the grammar, so that many texts are nearly right.
const WORDS: &[&str] = &[
    "cpu",
    "pid",
    "comm",
    "time",
    "event",
    "category",
    "prev_pid",
    "name",
    "prev_state",
    "sched_switch",
    "delay",
    "page_fault",
    "running",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "=~",
    "in",
    "not",
    "!",
    "&&",
    "||",
    "and",
    "or",
    "(",
    ")",
    ",",
    ".",
    "5",
    "-3",
    "0x1f",
    "1.5ms",
    "4KiB",
    "\"a*\"",
    "'b'",
    "true",
    "\\",
    "\"",
    "é",
    "\n",
];

/// A test whose answer for each sample is known without the filter's code.
fn any_test() -> impl Strategy<Value = (String, [bool; 4])> {
    prop::sample::select(vec![
        ("cpu == 1".to_owned(), [false, false, true, true]),
        ("prev_pid == 100".to_owned(), [true, false, false, false]),
        ("prev_pid != 100".to_owned(), [false; 4]),
        ("comm =~ 'a'".to_owned(), [true, true, true, true]),
        ("comm in ('bash')".to_owned(), [true, false, true, false]),
        ("category == sched".to_owned(), [true, true, false, false]),
        ("ret < 0".to_owned(), [false, false, false, true]),
    ])
}

fn any_filter() -> impl Strategy<Value = (String, [bool; 4])> {
    any_test().prop_recursive(5, 40, 3, |inner| {
        let both = |f: fn(bool, bool) -> bool| {
            move |a: [bool; 4], b: [bool; 4]| [0, 1, 2, 3].map(|i| f(a[i], b[i]))
        };
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(move |((a, x), (b, y))| {
                (format!("({a}) && ({b})"), both(|x, y| x && y)(x, y))
            }),
            (inner.clone(), inner.clone()).prop_map(move |((a, x), (b, y))| {
                (format!("({a} or {b})"), both(|x, y| x || y)(x, y))
            }),
            inner.prop_map(|(a, x)| (format!("!({a})"), x.map(|x| !x))),
        ]
    })
}

proptest! {
    #[test]
    fn logic_is_that_of_the_parts((text, expected) in any_filter()) {
        let bound = Filter::parse(&text).unwrap().bind(&schema()).unwrap();
        let found: Vec<_> = samples().iter().map(|row| bound.matches(row)).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn fuzz_texts() {
    fuzz(|chance| exhaust(&chance.text(WORDS)));
}

/// Filters that mean something, with a few characters changed: they get far.
#[test]
fn fuzz_damaged_filters() {
    let filters = [
        "event==sys_openat && filename=~\"/etc/*\" && ret<0",
        "cpu in (0, 1) and not (comm == 'bash' or prev_state != running)",
        "sched_switch.prev_pid >= 0x10 || delay > 1.5ms && !page_fault",
    ];
    fuzz(|chance| {
        let mut bytes = chance.pick(&filters).as_bytes().to_vec();
        chance.damage(&mut bytes);
        exhaust(&String::from_utf8_lossy(&bytes));
    });
}

/// Nesting costs no stack, length no more than its share.
#[test]
fn fuzz_deep_filters() {
    let pieces = ["(", "!", "not ", "((", "cpu == 1 && (", "-", "'"];
    fuzz(|chance| {
        let text = chance.pick(&pieces).repeat(1 + chance.below(4000));
        exhaust(&text);
        exhaust(&format!("{text}cpu == 1"));
    });
}
