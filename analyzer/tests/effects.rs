//! What causes bring about, intervals of the user's own, folded stacks, and two traces side by side.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "support/synthetic.rs"]
mod synthetic;

use analyzer::causes::{ChainOptions, ChainStart, FlameKind, chain, flame};
use analyzer::model::{GuestNanos, Span};
use analyzer::report::{
    By, CompareOptions, Options, Period, Report, ReportFormat, Selection, compare, periods,
};
use analyzer::sources::Trace;
use expect_test::{Expect, expect};
use guesttrace_filter::{BoundFilter, Filter};
use trace_format::TraceFile;

/// A key is pressed: its interrupt queues work, the work wakes a reader, the reader writes an answer. Another interrupt
/// comes in between and wakes somebody else.
const KEY: &str = "
0@0 thread_context tid=9 pid=9 comm=kworker
1@0 sched_switch prev_comm=kworker prev_pid=9 prev_prio=120 prev_state=S next_comm=other next_pid=6 next_prio=120
2@0 sched_switch prev_comm=other prev_pid=6 prev_prio=120 prev_state=S next_comm=reader next_pid=7 next_prio=120
3@0 syscall_entry nr=0 name=read arg0=0x0
5@0 sched_switch prev_comm=reader prev_pid=7 prev_prio=120 prev_state=S next_comm=swapper/0 next_pid=0 next_prio=120
10@0 irq_entry vector=33 name=device irq=1 user=0
11@0 irq_handler_entry irq=1 name=i8042
12@0 workqueue_queue_work work=0x2000 function=0xffffffff81000000
13@0 sched_waking comm=kworker pid=9 prio=120 target_cpu=0
14@0 irq_handler_exit irq=1 ret=1
15@0 irq_exit vector=33 name=device
20@0 irq_entry vector=236 name=apic_timer_interrupt irq=-1 user=0
21@0 sched_waking comm=other pid=6 prio=120 target_cpu=0
22@0 irq_exit vector=236 name=apic_timer_interrupt
25@0 sched_switch prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R next_comm=kworker next_pid=9 next_prio=120
30@0 workqueue_execute_start work=0x2000 function=0xffffffff81000000
35@0 sched_waking comm=reader pid=7 prio=120 target_cpu=0
40@0 workqueue_execute_end work=0x2000
45@0 sched_switch prev_comm=kworker prev_pid=9 prev_prio=120 prev_state=S next_comm=other next_pid=6 next_prio=120
46@0 syscall_entry nr=1 name=write arg0=0x1
47@0 syscall_exit nr=1 name=write ret=1
50@0 sched_switch prev_comm=other prev_pid=6 prev_prio=120 prev_state=S next_comm=reader next_pid=7 next_prio=120
55@0 syscall_exit nr=0 name=read ret=1
60@0 syscall_entry nr=1 name=write arg0=0x1
65@0 syscall_exit nr=1 name=write ret=6
70@0 syscall_entry nr=0 name=read arg0=0x0
75@0 sched_switch prev_comm=reader prev_pid=7 prev_prio=120 prev_state=S next_comm=swapper/0 next_pid=0 next_prio=120
90@0 power_off
";

fn open(script: &str) -> Trace {
    Trace::Own(TraceFile::from_bytes(synthetic::trace(script, 1000)).unwrap())
}

fn text(report: &Report) -> String {
    let mut out = Vec::new();
    let tables = report
        .tables
        .iter()
        .filter(|table| table.name != "histogram");
    for table in tables {
        out.extend(format!("{}\n", table.title).bytes());
        table.write_text(None, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn filter(trace: &Trace, text: &str) -> BoundFilter {
    Filter::parse(text).unwrap().bind(trace.schema()).unwrap()
}

fn check_chain(all_steps: bool, expected: Expect) {
    let trace = open(KEY);
    let options = ChainOptions {
        span: Span::ALL,
        start: ChainStart::Line(1),
        within: GuestNanos(1000),
        top: 10,
        all_steps,
    };
    expected.assert_eq(&text(&chain(&trace, &options).unwrap()));
}

#[test]
fn a_key_leads_to_the_answer_and_to_nothing_that_another_interrupt_did() {
    check_chain(
        false,
        expect![[r#"
        1 of 1 chains, those that reach the most threads (start in seconds, lengths in microseconds)
           Start  Began with         Steps  Threads  To last effect  Last effect
        0.000000  interrupt 1 i8042      7        2           0.050  reader:7 calls write
        From the start to the last effect, all chains (microseconds)
          Count  1
          Total  0.050
          Min    0.050
          Mean   0.050
          50 %   0.050
          99 %   0.050
          Max    0.050
        The first of them, step by step (start in seconds, lengths in microseconds)
              At  Since start  Since cause  CPU  What
        0.000000        0.000            -    0  interrupt 1 i8042
        0.000000        0.020        0.020    0  kworker:9 begins work 0xffffffff81000000
        0.000000        0.025        0.005    0  reader:7 is woken
        0.000000        0.040        0.015    0  reader:7 runs
        0.000000        0.050        0.010    0  reader:7 calls write
    "#]],
    );
    check_chain(
        true,
        expect![[r#"
        1 of 1 chains, those that reach the most threads (start in seconds, lengths in microseconds)
           Start  Began with         Steps  Threads  To last effect  Last effect
        0.000000  interrupt 1 i8042      7        2           0.050  reader:7 calls write
        From the start to the last effect, all chains (microseconds)
          Count  1
          Total  0.050
          Min    0.050
          Mean   0.050
          50 %   0.050
          99 %   0.050
          Max    0.050
        The first of them, step by step (start in seconds, lengths in microseconds)
              At  Since start  Since cause  CPU  What
        0.000000        0.000            -    0  interrupt 1 i8042
        0.000000        0.003        0.003    0    kworker:9 is woken
        0.000000        0.015        0.012    0      kworker:9 runs
        0.000000        0.020        0.020    0    kworker:9 begins work 0xffffffff81000000
        0.000000        0.025        0.005    0      reader:7 is woken
        0.000000        0.040        0.015    0        reader:7 runs
        0.000000        0.050        0.010    0          reader:7 calls write
    "#]],
    );
}

#[test]
fn a_chain_ends_where_it_is_not_followed_any_further() {
    let trace = open(KEY);
    let options = ChainOptions {
        span: Span::ALL,
        start: ChainStart::Event(filter(&trace, "event == irq_handler_entry")),
        within: GuestNanos(20),
        top: 10,
        all_steps: false,
    };
    expect![[r#"
        1 of 1 chains, those that reach the most threads (start in seconds, lengths in microseconds)
           Start  Began with              Steps  Threads  To last effect  Last effect
        0.000000  the event, swapper/0:0      4        1           0.019  kworker:9 begins work 0xffffffff81000000
        From the start to the last effect, all chains (microseconds)
          Count  1
          Total  0.019
          Min    0.019
          Mean   0.019
          50 %   0.019
          99 %   0.019
          Max    0.019
        The first of them, step by step (start in seconds, lengths in microseconds)
              At  Since start  Since cause  CPU  What
        0.000000        0.000            -    0  the event, swapper/0:0
        0.000000        0.019        0.019    0  kworker:9 begins work 0xffffffff81000000
    "#]].assert_eq(&text(&chain(&trace, &options).unwrap()));
}

fn check_periods(begin: &str, end: &str, by: &str, expected: Expect) {
    let trace = open(KEY);
    let period = Period {
        begin: filter(&trace, begin),
        end: filter(&trace, end),
        by: By::parse(by, trace.schema()).unwrap(),
    };
    let report = periods(&trace, &Options::default(), &period).unwrap();
    expected.assert_eq(&text(&report));
}

#[test]
fn periods_pair_events_by_what_they_have_in_common() {
    let (woken, runs) = ("event == sched_waking", "event == sched_switch");
    check_periods(
        woken,
        runs,
        "pid=next_pid",
        expect![[r#"
        Periods (microseconds)
          Count                         3
          Total                         0.051
          Min                           0.012
          Mean                          0.017
          50 %                          0.015
          99 %                          0.024
          Max                           0.024
          Begun and not ended           0
          Begun again before their end  0
          Ends without a beginning      4
          Cut by missing events         0
          Events without the field      0
          Beyond what is kept           0
        The longest (start in seconds, lengths in microseconds)
           Start  Length  By  Begun by
        0.000000   0.024   6  swapper/0:0
        0.000000   0.015   7  kworker:9
        0.000000   0.012   9  swapper/0:0
        By what they have in common (microseconds)
        By  Count  Total    Min   Mean   50 %   99 %    Max
         6      1  0.024  0.024  0.024  0.024  0.024  0.024
         7      1  0.015  0.015  0.015  0.015  0.015  0.015
         9      1  0.012  0.012  0.012  0.012  0.012  0.012
    "#]],
    );
    // Nothing in common: each beginning counts until the next end, whoever that is about.
    check_periods(
        woken,
        runs,
        "none",
        expect![[r#"
            Periods (microseconds)
              Count                         2
              Total                         0.022
              Min                           0.010
              Mean                          0.011
              50 %                          0.010
              99 %                          0.012
              Max                           0.012
              Begun and not ended           0
              Begun again before their end  1
              Ends without a beginning      5
              Cut by missing events         0
              Events without the field      0
              Beyond what is kept           0
            The longest (start in seconds, lengths in microseconds)
               Start  Length  By  Begun by
            0.000000   0.012   -  swapper/0:0
            0.000000   0.010   -  kworker:9
        "#]],
    );
    assert!(By::parse("no_such_field", open(KEY).schema()).is_err());
}

#[test]
fn stacks_are_folded_by_state() {
    let trace = open(KEY);
    let flame = flame(&trace, &Selection::default(), FlameKind::All).unwrap();
    expect![[r#"
        kworker;kworker:9;could run 12
        kworker;kworker:9;running, unknown what 21
        kworker;kworker:9;waiting;work 45
        kworker;kworker:9;waiting;work;interrupt 1 i8042 12
        other;other:6;could run 24
        other;other:6;running, unknown what 2
        other;other:6;system calls;write 1
        other;other:6;unknown 1
        other;other:6;user code 3
        other;other:6;waiting;work 40
        other;other:6;waiting;work;interrupt apic_timer_interrupt 19
        reader;reader:7;could run 15
        reader;reader:7;running, unknown what 1
        reader;reader:7;system calls;read 12
        reader;reader:7;system calls;write 5
        reader;reader:7;unknown 2
        reader;reader:7;user code 10
        reader;reader:7;waiting;read fd 0 15
        reader;reader:7;waiting;read fd 0;kworker:9 30"#]]
    .assert_eq(&flame.lines.join("\n"));
    let total: u64 = flame
        .lines
        .iter()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    // Three threads, each from the beginning to the end.
    assert_eq!(total, 3 * 90);
}

#[test]
fn a_trace_compares_with_itself_as_the_same_and_with_a_slower_one_as_worse() {
    let (trace, slower) = (open(KEY), open(&KEY.replace("\n65@0", "\n69@0")));
    let wish = CompareOptions {
        options: [Options::default(), Options::default()],
        reports: vec!["syscalls".to_owned()],
        threshold: 5.0,
        top: 5,
    };
    assert!(!compare(&trace, &open(KEY), &wish).unwrap().differs);
    let compared = compare(&trace, &slower, &wish).unwrap();
    assert!(compared.differs);
    expect![[r#"
        Numbers by report; differences up to 5 % are none
        Report    Numbers  Same  Better  Worse  Changed  Only in A  Only in B
        syscalls       39    28       0      7        4          0          0
        Differences, those that matter most first; buckets of histograms last
        Report    Table      Row           Number        A      B  Difference      %  Verdict
        syscalls  calls      write         max_ns    0.005  0.009  +4          80.00  worse
        syscalls  calls      write         p99_ns    0.005  0.009  +4          80.00  worse
        syscalls  processes  reader write  max_ns    0.005  0.009  +4          80.00  worse
        syscalls  processes  reader write  mean_ns   0.005  0.009  +4          80.00  worse
        syscalls  processes  reader write  total_ns  0.005  0.009  +4          80.00  worse
    "#]]
    .assert_eq(&text(&compared.report));
    // It can be written in every way.
    compared
        .report
        .write(ReportFormat::Json, &mut Vec::new())
        .unwrap();
}
