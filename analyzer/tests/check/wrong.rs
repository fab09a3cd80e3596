//! What is no rule.

use expect_test::expect;

use super::check_rules;

#[test]
fn wrong_rules_say_what_is_wrong_and_where() {
    check_rules(
        "",
        expect![[r#"
        error: line 1: there is no rule in it
        hint: a rule begins with one of [[count]], [[never]], [[order]], [[latency]], [[state]], [[report]], [[answer]]
    "#]],
    );
    check_rules(
        "[[count]\nevents = 1",
        expect![[r#"
        error: line 1: unclosed array table, expected `]`
          [[count]
                  ^
    "#]],
    );
    check_rules(
        "[[cuont]]\nevents = 'event == tick'\nequals = 1",
        expect![[r#"
            error: line 1: there is no key of the file "cuont"; did you mean "count"?
              [[cuont]]
                ^^^^^
            hint: there are golden, masks_are_meant, count, never, order, latency, state, report, answer
        "#]],
    );
    check_rules(
        "[count]\nevents = 'event == tick'\nequals = 1",
        expect![[r#"
            error: line 1: "count" has to be a list of sections, each begun by its name in double brackets, this is table
              [count]
              ^^^^^^^
        "#]],
    );
    check_rules(
        "[[count]]\nevents = 'event == tick'\neqals = 1",
        expect![[r#"
    error: line 3: there is no key of [[count]] "eqals"; did you mean "equals"?
      eqals = 1
      ^^^^^
    hint: there are name, from, to, optional, equals, at_least, at_most, tolerance, over, under, events, after, until
    "#]],
    );
    check_rules(
        "[[count]]\nequals = 1",
        expect![[r#"
        error: line 1: [[count]] needs "events"
          [[count]]
          ^^^^^^^^^
        hint: a condition on events, such as 'event == "sched_process_fork"'
    "#]],
    );
    check_rules(
        "[[count]]\nevents = 'event == tick'",
        expect![[r#"
        error: line 1: [[count]] says nothing that could be broken
          [[count]]
          ^^^^^^^^^
        hint: give it one of "equals", "at_least", "at_most", "tolerance"
    "#]],
    );
    check_rules(
        "[[count]]\nevents = 7\nequals = 1",
        expect![[r#"
        error: line 2: "events" has to be text in quotes, this is integer
          events = 7
                   ^
    "#]],
    );
    check_rules(
        "[[count]]\nevents = 'event =='\nequals = 1",
        expect![[r#"
        error: line 2: "events" cannot be understood: expected a value to compare with, found the end
          event ==
                  ^
    "#]],
    );
    check_rules(
        "[[count]]\nevents = 'event == tikc'\nequals = 1",
        expect![[r#"
            error: line 2: "events" does not fit this trace: there is no event "tikc"; did you mean "tick"?
              event == tikc
                       ^^^^
        "#]],
    );
    check_rules(
        "[[count]]\nevents = 'tick.usr == 1'\nequals = 1",
        expect![[r#"
            error: line 2: "events" does not fit this trace: event "tick" has no field "usr"; did you mean "user"?
              tick.usr == 1
              ^^^^^^^^
        "#]],
    );
    check_rules(
        "[[count]]\nevents = 'event == tick'\nequals = '5ms'",
        expect![[r#"
            error: line 3: "equals" is a time, but what it limits is a plain number
              equals = '5ms'
                       ^^^^^
        "#]],
    );
    check_rules(
        "[[count]]\nevents = 'event == tick'\nequals = -1",
        expect![[r#"
            error: line 3: "-1" is not a number
              equals = -1
                       ^^
            hint: write 3, "20%", or a time such as "5ms"
        "#]],
    );
    check_rules(
        "[[count]]\nevents = 'event == tick'\nequals = 1\nat_most = 2",
        expect![[r#"
            error: line 3: "equals" and "at_most" do not go together
              equals = 1
                       ^
        "#]],
    );
    check_rules(
        "[[count]]\nevents = 'event == tick'\nequals = 1\nfrom = '2s'\nto = '1s'",
        expect![[r#"
            error: line 4: "from" is later than "to"
              from = '2s'
                     ^^^^
            hint: both count from the start of the trace
        "#]],
    );
    check_rules(
        "[[order]]\nfirst = 'event == tick'",
        expect![[r#"
        error: line 1: [[order]] needs "then"
          [[order]]
          ^^^^^^^^^
        hint: a condition on events, such as 'event == "sched_process_fork"'
    "#]],
    );
    check_rules(
        "[[latency]]\nbegin = 'event == tick'\nend = 'event == tick'\nmax = 'soon'",
        expect![[r#"
            error: line 4: "soon" is not a time
              max = 'soon'
                    ^^^^^^
            hint: write 1.5s, 200ms, 15us or 7ns, in quotes
        "#]],
    );
    check_rules(
        "[[latency]]\nbegin = 'event == tick'\nend = 'event == tick'\nmax = '1s'\nby = 'x y'",
        expect![[r#"
            error: line 5: "by" has to name something that the events have, such as "tid" or "sched_waking.pid"
              by = 'x y'
                   ^^^^^
        "#]],
    );
    check_rules(
        "[[latency]]\nbegin = 'event == tick'\nend = 'event == tick'\nmax = '1s'\nby = 'usr'",
        expect![[r#"
            error: line 5: "by" does not fit this trace: no event has a field "usr"; did you mean "user"?
              usr
              ^^^
        "#]],
    );
    check_rules(
        "[[state]]\nstate = 'asleep'\ncomm = 'sh'\nlongest = '1s'",
        expect![[r#"
            error: line 2: there is no state "asleep"
              state = 'asleep'
                      ^^^^^^^^
            hint: there are user, syscall, trap, irq, softirq, kernel, idle, runnable, blocked, running, waiting
        "#]],
    );
    check_rules(
        "[[state]]\nstate = 'idle'\ncpu = 'all'\nlongest = '1s'",
        expect![[r#"
            error: line 3: "cpu" has to be the number of a CPU, or "each", this is string
              cpu = 'all'
                    ^^^^^
        "#]],
    );
    check_rules(
        "[[state]]\nstate = 'idle'\ncpu = 0\ncomm = 'sh'\nlongest = '1s'",
        expect![[r#"
            error: line 3: "cpu" and "comm" do not go together
              cpu = 0
                    ^
        "#]],
    );
    check_rules(
        "[[state]]\nstate = 'idle'\nlongest = '1s'",
        expect![[r#"
        error: line 1: [[state]] needs "comm"
          [[state]]
          ^^^^^^^^^
        hint: say whose states are meant: "comm", "pid", "tid" or "cpu"
    "#]],
    );
    check_rules(
        "[[report]]\nreport = 'sumary'\ncolumn = 'x'\nat_most = 1",
        expect![[r#"
            error: line 2: there is no report "sumary"; did you mean "summary"?
              report = 'sumary'
                       ^^^^^^^^
            hint: `guesttrace list reports` names them
        "#]],
    );
    check_rules(
        "[[report]]\nreport = 'summary'\ncolumn = 'x'\nat_most = 1",
        expect![[r#"
            error: line 1: the report "summary" has several tables
            hint: say which with "table": trace, counts, cpus
        "#]],
    );
    check_rules(
        "[[report]]\nreport = 'summary'\ntable = 'trace'\ncolumn = 'evnts'\nat_most = 1",
        expect![[r#"
            error: line 4: there is no column of "trace" "evnts"; did you mean "events"?
            hint: there are start_ns, end_ns, duration_ns, start_tsc, events, cpus
        "#]],
    );
    check_rules(
        "[[report]]\nreport = 'summary'\ntable = 'trace'\ncolumn = 'events'\nat_most = '1ms'",
        expect![[r#"
            error: line 4: "at_most" is a time, but what it limits is a plain number
        "#]],
    );
}
