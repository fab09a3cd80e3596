//! What a user reads when a filter is wrong.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use expect_test::{Expect, expect};
use guesttrace_filter::Filter;
use support::schema;

fn check(texts: &[&str], expected: &Expect) {
    let message = |text: &&str| match Filter::parse(text).and_then(|filter| filter.bind(&schema()))
    {
        Ok(_) => format!("no error: {text}\n"),
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&texts.iter().map(message).collect::<String>());
}

#[test]
fn grammar() {
    check(
        &[
            "",
            "cpu ==",
            "cpu == 1 pid == 2",
            "cpu = 1",
            "cpu | tid",
            "(cpu == 1",
            "cpu == 1)",
            "comm == \"bash",
            "comm == 'a\\q'",
            "cpu in 1",
            "cpu in (1 2)",
            "cpu in ()",
            "cpu not 5",
            "5",
            "sched_switch.",
            "cpu == 1 &&\n  pid == == 2",
            "comm == \"ü\" && §",
        ],
        &expect![[r#"
            expected a name, a number, a string or an opening parenthesis, found the end
  
              ^
            expected a value to compare with, found the end
              cpu ==
                    ^
            expected &&, || or the end, found `pid`
              cpu == 1 pid == 2
                       ^^^
            expected == or =~, found `=`
              cpu = 1
                  ^
            expected ||, found `|`
              cpu | tid
                  ^
            expected &&, || or a closing parenthesis, found the end
              (cpu == 1
                       ^
            expected &&, || or the end, found `)`
              cpu == 1)
                      ^
            the string has no closing quote
              comm == "bash
                      ^^^^^
            unknown escape; \n \t \r \0 \\ \" \' and \xHH are possible
              comm == 'a\q'
                      ^^^^^
            expected a list in parentheses, found `1`
              cpu in 1
                     ^
            expected a comma or a closing parenthesis, found `2`
              cpu in (1 2)
                        ^
            expected a value of the list, found `)`
              cpu in ()
                      ^
            expected in, found `5`
              cpu not 5
                      ^
            expected an operator: == != < <= > >= =~ in, found the end
              5
               ^
            expected the name of a field, found the end
              sched_switch.
                           ^
            expected a value to compare with, found `==`
                pid == == 2
                       ^^
            unexpected character '§'
              comm == "ü" && §
                             ^
        "#]],
    );
}

#[test]
fn numbers() {
    check(
        &[
            "cpu == 0x",
            "cpu == 12kib",
            "cpu == 1..5",
            "time > 0.1ns",
            "cpu == 0x1_0000_0000_0000_0000",
            "cpu == 99999999999999999999999999999999999999999999",
            "cpu == 5.",
        ],
        &expect![[r#"
            not a number: hexadecimal digits must follow 0x
              cpu == 0x
                     ^^
            not a number: the suffix is none of ns us ms s B KiB MiB GiB TiB
              cpu == 12kib
                     ^^^^^
            not a number: digits must be on both sides of the point
              cpu == 1..5
                     ^^^^
            not a number: it is not a whole number of nanoseconds, bytes or what the field counts
              time > 0.1ns
                     ^^^^^
            not a number: more than 64 bits
              cpu == 0x1_0000_0000_0000_0000
                     ^^^^^^^^^^^^^^^^^^^^^^^
            not a number: too large, or no digit
              cpu == 99999999999999999999999999999999999999999999
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            not a number: digits must be on both sides of the point
              cpu == 5.
                     ^^
        "#]],
    );
}

#[test]
fn names() {
    check(
        &[
            "prev_pidd == 5",
            "cpus == 5",
            "qwertyuiop == 5",
            "sched_switch",
            "!sched_swich",
            "event == sched_swich",
            "category == shed",
            "event == 40",
            "event < sched_switch",
            "sched_swich.prev_pid == 5",
            "sched_switch.prevpid == 5",
            "event.prev_pidd == 1",
            "prev_pid == nxt_pid",
            "prev_pid == address",
            "prev_state == runing",
            "prev_state in (running, sleping)",
            "page_fault == name",
        ],
        &expect![[r#"
            no event has a field "prev_pidd"; did you mean "prev_pid"?
              prev_pidd == 5
              ^^^^^^^^^
            no event has a field "cpus"; did you mean "cpu"?
              cpus == 5
              ^^^^
            no event has a field "qwertyuiop"
              qwertyuiop == 5
              ^^^^^^^^^^
            no event has a field "sched_switch"; did you mean "event == sched_switch"?
              sched_switch
              ^^^^^^^^^^^^
            no event has a field "sched_swich"; did you mean "event == sched_switch"?
              !sched_swich
               ^^^^^^^^^^^
            there is no event "sched_swich"; did you mean "sched_switch"?
              event == sched_swich
                       ^^^^^^^^^^^
            there is no category "shed"; did you mean "sched"?
              category == shed
                          ^^^^
            cannot compare a name with a number
              event == 40
                       ^^
            an order is not possible for a name
              event < sched_switch
              ^^^^^
            there is no event "sched_swich"; did you mean "sched_switch"?
              sched_swich.prev_pid == 5
              ^^^^^^^^^^^^^^^^^^^^
            event "sched_switch" has no field "prevpid"; did you mean "prev_pid"?
              sched_switch.prevpid == 5
              ^^^^^^^^^^^^^^^^^^^^
            no event has a field "prev_pidd"; did you mean "prev_pid"?
              event.prev_pidd == 1
              ^^^^^^^^^^^^^^^
            no event has a field "nxt_pid"; did you mean "next_pid"?
              prev_pid == nxt_pid
                          ^^^^^^^
            event "sched_switch" has no field "address"
              prev_pid == address
                          ^^^^^^^
            there is no value of task_state "runing"; did you mean "running"?
              prev_state == runing
                            ^^^^^^
            there is no value of task_state "sleping"; did you mean "sleeping"?
              prev_state in (running, sleping)
                                      ^^^^^^^
            no event has a field "page_fault"
              page_fault == name
              ^^^^^^^^^^
        "#]],
    );
}

#[test]
fn types() {
    check(
        &[
            "prev_pid == \"bash\"",
            "next_comm == 5",
            "comm == bash",
            "next_comm == prev_pid",
            "prev_pid =~ \"1*\"",
            "next_comm =~ prev_pid",
            "'a' =~ comm",
            "1 == 1",
            "time > 4KiB",
            "timeout > 5ms",
            "size > 5ms",
        ],
        &expect![[r#"
            cannot compare a number with text
              prev_pid == "bash"
              ^^^^^^^^^^^^^^^^^^
            cannot compare text with a number
              next_comm == 5
              ^^^^^^^^^^^^^^
            no event has a field "bash": text must be quoted
              comm == bash
                      ^^^^
            cannot compare text with a number
              next_comm == prev_pid
              ^^^^^^^^^^^^^^^^^^^^^
            =~ is not possible for a number
              prev_pid =~ "1*"
              ^^^^^^^^
            cannot compare text with anything but a string
              next_comm =~ prev_pid
                           ^^^^^^^^
            =~ is not possible for a constant
              'a' =~ comm
              ^^^
            there is no field in this comparison
              1 == 1
              ^^^^^^
            the field is in ns: the number's suffix does not fit
              time > 4KiB
                     ^^^^
            the field is in jiffies: the number's suffix does not fit
              timeout > 5ms
                        ^^^
            the field is in bytes: the number's suffix does not fit
              size > 5ms
                     ^^^
        "#]],
    );
}

#[test]
fn depth_is_bounded() {
    let deep = |open: &str, count, close: &str| {
        Filter::parse(
            &[
                open.repeat(count),
                "cpu == 1".to_owned(),
                close.repeat(count),
            ]
            .concat(),
        )
        .is_ok()
    };
    assert!(deep("(", 63, ")"));
    assert!(!deep("(", 64, ")"));
    assert!(deep("!", 63, ""));
    assert!(!deep("!", 100_000, ""));
    assert!(!deep("!(", 100_000, ")"));
}

#[test]
fn span_is_in_bytes_of_the_text() {
    let error = Filter::parse("comm == 'ü' && 5x == cpu").unwrap_err();
    assert_eq!(&"comm == 'ü' && 5x == cpu"[error.span()], "5x");
}

#[test]
fn what_a_running_guest_tells() {
    let message = |text: &str, recording: bool| {
        let filter = Filter::parse(text).unwrap();
        let bound = if recording {
            filter.bind_for_recording(&schema())
        } else {
            filter.bind(&schema())
        };
        bound.map_or_else(
            |error| format!("{error}\n"),
            |_| format!("no error: {text}\n"),
        )
    };
    let messages = [
        message("current.uid == 0", true),
        message("current.uid == 0", false),
        message("current.udi == 0", true),
        message("time > 1s", true),
    ];
    expect![[r#"
        no error: current.uid == 0
        "current.uid" is known only while recording: use it in `record --filter`
          current.uid == 0
          ^^^^^^^^^^^
        there is no name after `current.` "udi"
          current.udi == 0
          ^^^^^^^^^^^
        no error: time > 1s
    "#]]
    .assert_eq(&messages.concat());
}
