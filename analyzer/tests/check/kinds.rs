//! Every kind of rule, kept and broken.

use expect_test::expect;

use super::{check_rules, open, script, verdicts};

#[test]
fn events_are_counted() {
    check_rules(
        r#"
[[count]]
name = "three processes are made"
events = 'event == "sched_process_fork"'
equals = 3

[[count]]
events = 'event == sched_process_fork'
at_most = 1

[[count]]
name = "calls"
events = 'event == syscall_entry && comm == "init"'
at_least = 6
at_most = 9

[[count]]
name = "calls of the child"
events = 'event == syscall_entry'
after = 'event == sched_process_fork && parent_pid == 1'
until = 'event == sched_process_exit'
at_least = 9

[[count]]
name = "forks up to the program"
events = 'event == sched_process_fork'
until = 'event == sched_process_exec'
equals = 2

[[count]]
name = "after what never happens"
events = 'event == tick'
after = 'event == module_load'
at_most = 9

[[count]]
name = "calls of a part"
events = 'event == syscall_entry'
from = "15us"
to = "20us"
equals = 2
"#,
        expect![[r#"
            passed  three processes are made
            failed  number of event == sched_process_fork
                    expected at most 1
                    found    3
                      [0.000003000] 0 swapper/0:0 sched_process_fork: { parent_comm = "swapper/0", parent_pid = 0, parent_tgid = ?, child_comm = "swapper/0", child_pid = 2, child_tgid = 2 }
                      [0.000011000] 0 init:1 sched_process_fork: { parent_comm = "init", parent_pid = 1, parent_tgid = ?, child_comm = "init", child_pid = 3, child_tgid = 3 }
                    rule of rules.toml line 7
            failed  calls
                    expected at least 6, at most 9
                    found    5
                    rule of rules.toml line 11
            failed  calls of the child
                    expected at least 9 between those events
                    found    3
                    rule of rules.toml line 17
            passed  forks up to the program
            failed  after what never happens
                    expected at most 9 after that event
                    found    the event of "after" never happens
                    rule of rules.toml line 30
            passed  calls of a part
            7 rules: 3 passed, 4 failed, 0 unknown
        "#]],
    );
}

#[test]
fn what_must_not_be_is_looked_for_where_it_is_forbidden() {
    check_rules(
        r#"
[[never]]
name = "no signal at all"
events = 'event == signal_generate'

[[never]]
name = "no fork once the program runs"
events = 'event == sched_process_fork'
after = 'event == sched_process_exec'

[[never]]
name = "no fork before"
events = 'event == sched_process_fork && parent_pid == 1'
until = 'event == sched_process_exec'

[[never]]
name = "no switch between call and exit"
events = 'event == sched_switch'
after = 'event == syscall_entry && name == clone'
until = 'event == syscall_exit && name == clone'

[[never]]
name = "after what never happens"
events = 'event == tick'
after = 'event == module_load'

[[never]]
name = "the same, if it happens"
events = 'event == tick'
after = 'event == module_load'
optional = true
"#,
        expect![[r#"
            failed  no signal at all
                    expected none
                    found    one
                      [0.000021700] 1 init:3 signal_generate: { sig = 17, errno = 0, code = 1, comm = "init", pid = 1, group = true, result = 0 }
                    rule of rules.toml line 2
            failed  no fork once the program runs
                    expected none after that event
                    found    one
                      [0.000011000] 0 init:1 sched_process_fork: { parent_comm = "init", parent_pid = 1, parent_tgid = ?, child_comm = "init", child_pid = 3, child_tgid = 3 }
                    rule of rules.toml line 6
            passed  no fork before
            failed  no switch between call and exit
                    expected none between those events
                    found    one
                      [0.000013000] 1 swapper/1:0 sched_switch: { prev_comm = "swapper/1", prev_pid = 0, prev_prio = 120, prev_state = R, next_comm = "init", next_pid = 3, next_prio = 120 }
                    rule of rules.toml line 16
            failed  after what never happens
                    expected none after that event
                    found    the event of "after" never happens
                    rule of rules.toml line 22
            passed  the same, if it happens
            6 rules: 2 passed, 4 failed, 0 unknown
        "#]],
    );
}

#[test]
fn one_event_comes_before_another() {
    check_rules(
        r#"
[[order]]
name = "exec before exit"
first = 'event == sched_process_exec'
then = 'event == sched_process_exit'

[[order]]
name = "not too late"
first = 'event == sched_process_exec'
then = 'event == sched_process_exit'
within = "15us"

[[order]]
name = "the other way"
first = 'event == sched_process_exit'
then = 'event == sched_process_exec'

[[order]]
name = "only one of them"
first = 'event == sched_process_exit'
then = 'event == module_load'

[[order]]
name = "none of them"
first = 'event == module_free'
then = 'event == module_load'

[[order]]
name = "none of them, which may be"
first = 'event == module_free'
then = 'event == module_load'
optional = true
"#,
        expect![[r#"
            passed  exec before exit
            failed  not too late
                    expected the second at most 15 us after the first
                    found    15.5 us later
                      [0.000006000] 0 swapper/0:1 sched_process_exec: { filename = "/sbin/init", pid = 1, old_pid = 1, comm = "init" }
                      [0.000021500] 1 init:3 sched_process_exit: { comm = "init", pid = 3, tgid = 3, prio = 120, exit_code = 0x0, group_dead = true }
                    rule of rules.toml line 7
            failed  the other way
                    expected the first before the second
                    found    the second happens before any first
                      [0.000006000] 0 swapper/0:1 sched_process_exec: { filename = "/sbin/init", pid = 1, old_pid = 1, comm = "init" }
                    rule of rules.toml line 13
            failed  only one of them
                    expected the first before the second
                    found    the second never happens
                      [0.000021500] 1 init:3 sched_process_exit: { comm = "init", pid = 3, tgid = 3, prio = 120, exit_code = 0x0, group_dead = true }
                    rule of rules.toml line 18
            failed  none of them
                    expected the first before the second
                    found    neither happens
                    rule of rules.toml line 23
            passed  none of them, which may be
            6 rules: 2 passed, 4 failed, 0 unknown
        "#]],
    );
}

#[test]
fn it_does_not_take_long() {
    check_rules(
        r#"
[[latency]]
name = "calls"
begin = 'event == syscall_entry'
end = 'event == syscall_exit'
max = "10us"
mean = "5us"

[[latency]]
name = "short calls"
begin = 'event == syscall_entry'
end = 'event == syscall_exit'
max = "3us"

[[latency]]
name = "most calls"
begin = 'event == syscall_entry'
end = 'event == syscall_exit'
p50 = "3us"
p99 = "4us"

[[latency]]
name = "from waking to running"
begin = 'event == sched_waking'
end = 'event == sched_switch'
by = ["event.pid", "sched_switch.next_pid"]
max = "1ms"

[[latency]]
name = "no call is short"
begin = 'event == syscall_entry'
end = 'event == syscall_exit'
min = "3us"

[[latency]]
name = "none is shorter than that"
begin = 'event == syscall_entry'
end = 'event == syscall_exit'
min = "2us"
max = "8us"
optional = true

[[latency]]
name = "between ticks, which end what they begin"
begin = 'event == tick'
end = 'event == tick'
by = "none"
max = "10us"

[[latency]]
name = "no period"
begin = 'event == module_load'
end = 'event == module_free'
max = "10us"
"#,
        expect![[r#"
            passed  calls
            failed  short calls
                    expected max at most 3 us
                    found    3 periods, max 8 us, 2 not ended
                      [0.000010000] 3.5 us up to 0 init:1 syscall_exit: { nr = 56, name = clone, ret = 3 }
                      [0.000015000] 8 us up to 0 init:1 syscall_exit: { nr = 61, name = wait4, ret = 3 }
                      [0.000021000] 4 us up to the end, still open
                    rule of rules.toml line 9
            failed  most calls
                    expected p50 at most 3 us, p99 at most 4 us
                    found    3 periods, p50 3.519 us, p99 8 us, 2 not ended
                      [0.000010000] 3.5 us up to 0 init:1 syscall_exit: { nr = 56, name = clone, ret = 3 }
                      [0.000015000] 8 us up to 0 init:1 syscall_exit: { nr = 61, name = wait4, ret = 3 }
                    rule of rules.toml line 15
            passed  from waking to running
            failed  no call is short
                    expected min at least 3 us
                    found    3 periods, min 2 us, 2 not ended
                      [0.000018000] 2 us up to 1 init:3 syscall_exit: { nr = 1, name = write, ret = 5 }
                    rule of rules.toml line 29
            passed  none is shorter than that
            failed  between ticks, which end what they begin
                    expected max at most 10 us
                    found    1 period, max 17.6 us, 1 not ended
                      [0.000001000] 17.6 us up to 1 init:3 tick: { user = false }
                    rule of rules.toml line 43
            failed  no period
                    expected max at most 10 us
                    found    0 periods, max 0 ns
                    rule of rules.toml line 50
            8 rules: 3 passed, 5 failed, 0 unknown
        "#]],
    );
}

#[test]
fn states_last_no_longer_than_they_may() {
    check_rules(
        r#"
[[state]]
name = "init is not kept"
comm = "init"
state = "blocked"
longest = "1us"

[[state]]
name = "but not for long"
comm = "init"
state = "blocked"
longest = "1ms"
at_most = "30%"

[[state]]
name = "the machine is idle"
cpu = "each"
state = "idle"
at_least = "10%"

[[state]]
name = "the first CPU runs"
cpu = 0
state = "running"
at_least = "20us"

[[state]]
name = "nobody"
comm = "sshd"
state = "blocked"
longest = "1ms"
"#,
        expect![[r#"
            failed  init is not kept
                    expected blocked for at most 1 us at a stretch
                    found    2 of them blocked for 6.3 us, longest 5.8 us
                      [0.000016000] init:1 blocked for 5.8 us
                    rule of rules.toml line 2
            passed  but not for long
            passed  the machine is idle
            failed  the first CPU runs
                    expected running for at least 20 us
                    found    CPU 0: running for 19.6 us of 25 us (78.4 %), longest 17 us
                      CPU 0: running for 19.6 us of 25 us (78.4 %)
                    rule of rules.toml line 21
            failed  nobody
                    expected blocked for at most 1 ms at a stretch
                    found    no such thread
                    rule of rules.toml line 27
            5 rules: 2 passed, 3 failed, 0 unknown
        "#]],
    );
}

#[test]
fn numbers_of_reports_keep_their_limits() {
    check_rules(
        r#"
[[report]]
name = "calls are few"
report = "syscalls"
table = "calls"
row = { name = "clone" }
column = "count"
at_most = 2

[[report]]
name = "each is short"
report = "syscalls"
table = "calls"
column = "max_ns"
at_most = "5us"

[[report]]
name = "all of them"
report = "syscalls"
table = "calls"
rows = "sum"
column = "total_ns"
at_most = "20us"

[[report]]
name = "kinds of calls"
report = "syscalls"
table = "calls"
rows = "count"
equals = 4

[[report]]
name = "no such call"
report = "syscalls"
table = "calls"
row = { name = "openat" }
column = "count"
at_most = 2
"#,
        expect![[r#"
            passed  calls are few
            failed  each is short
                    expected at most 5 us
                    found    3 rows
                      wait4: 8 us
                    rule of rules.toml line 10
            passed  all of them
            failed  kinds of calls
                    expected exactly 4
                    found    3 (count of 3 rows)
                    rule of rules.toml line 25
            failed  no such call
                    expected at most 2
                    found    no such row
                    rule of rules.toml line 32
            5 rules: 2 passed, 3 failed, 0 unknown
        "#]],
    );
}

#[test]
fn a_trace_is_held_against_a_golden_one() {
    let golden = script("first_program");
    let more = golden.replace(
        "1000@0 tick user=0\n",
        "1000@0 tick user=0\n1100@0 tick user=0\n1200@0 tick user=0\n",
    );
    let slower = more.replace("20000@1 syscall_exit nr=1", "20900@1 syscall_exit nr=1");
    let rules = r#"
[[count]]
name = "ticks, more or less"
events = 'event == tick'
tolerance = 2

[[count]]
name = "ticks"
events = 'event == tick'
over = "50%"

[[latency]]
name = "calls on the whole"
begin = 'event == syscall_entry'
end = 'event == syscall_exit'
tolerance = "10%"

[[latency]]
name = "the longest call"
begin = 'event == syscall_entry'
end = 'event == syscall_exit'
of = "max"
tolerance = "10%"

[[report]]
name = "each call"
report = "syscalls"
table = "calls"
row = { name = "*" }
column = "total_ns"
over = "10%"
"#;
    let found = verdicts(&open(&slower), Some(&open(&golden)), rules);
    expect![[r#"
        passed  ticks, more or less
        failed  ticks
                expected 2 of the golden trace +50 %
                found    4
                  [0.000018600] 1 init:3 tick: { user = false }
                rule of rules.toml line 7
        passed  calls on the whole
        passed  the longest call
        failed  each call
                expected the number of the golden trace +10 %
                found    3 rows
                  write: 2.9 us, golden 2 us
                rule of rules.toml line 25
        5 rules: 3 passed, 2 failed, 0 unknown
    "#]]
    .assert_eq(&found);
    let same = verdicts(&open(&golden), Some(&open(&golden)), rules);
    assert!(
        same.ends_with("5 rules: 5 passed, 0 failed, 0 unknown\n"),
        "{same}"
    );
    let beside_half = verdicts(&open(&golden), Some(&open(&script("lost_records"))), rules);
    assert!(!beside_half.contains("passed  "), "{beside_half}");
}
