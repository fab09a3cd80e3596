//! Why threads wait: small traces, each with what a tool that follows causes is likely to get wrong.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "support/synthetic.rs"]
mod synthetic;

use analyzer::causes::{PathEnd, PathOptions, Subject, WaitOptions, critical_path, wait};
use analyzer::model::{Span, Tid};
use analyzer::report::{Cell, Report, Selection};
use analyzer::sources::Trace;
use expect_test::{Expect, expect};
use guesttrace_filter::Filter;
use trace_format::{Severity, TraceFile};

fn open(script: &str) -> Trace {
    Trace::Own(TraceFile::from_bytes(synthetic::trace(script, 1000)).unwrap())
}

/// Start, length and text of each stretch of a path, indented by its depth.
fn stretches(report: &Report) -> String {
    let table = report.tables.iter().find(|table| table.name == "stretches");
    let mut out = String::new();
    for row in &table.unwrap().rows {
        let (Cell::Time(start), Cell::Length(length)) = (&row[0], &row[1]) else {
            panic!("{row:?}");
        };
        let Cell::Branch { depth, text } = &row[4] else {
            panic!("{row:?}");
        };
        let detail = match &row[5] {
            Cell::Text(text) => format!(" [{text}]"),
            _ => String::new(),
        };
        out += &format!(
            "{:<4} {:>4} {}{text}{detail}\n",
            start.0,
            length.0,
            "  ".repeat(*depth)
        );
    }
    out
}

fn assert_whole(report: &Report) {
    let errors = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    assert_eq!(errors.count(), 0, "{:?}", report.findings);
}

#[track_caller]
fn check_path_to(script: &str, end: impl Fn(&Trace) -> PathEnd, expected: Expect) {
    let trace = open(script);
    let options = PathOptions {
        span: Span::ALL,
        end: end(&trace),
        depth: 16,
        top: 100,
    };
    let report = critical_path(&trace, &options).unwrap();
    assert_whole(&report);
    expected.assert_eq(&stretches(&report));
}

/// The critical path of thread 7 of a script.
#[track_caller]
fn check_path(script: &str, expected: Expect) {
    check_path_to(script, |_| PathEnd::Thread(Tid(7)), expected);
}

/// The tree of where the time of thread 7 went.
#[track_caller]
fn check_wait(script: &str, expected: Expect) {
    let trace = open(script);
    let options = WaitOptions {
        selection: Selection::default(),
        subject: Subject::Thread(Tid(7)),
        depth: 2,
        top: 100,
    };
    let report = wait(&trace, &options).unwrap();
    assert_whole(&report);
    let mut out = String::new();
    for row in &report.tables[1].rows {
        let (Cell::Branch { depth, text }, Cell::Time(time), count) = (&row[2], &row[3], &row[5])
        else {
            panic!("{row:?}");
        };
        let count = match count {
            Cell::Count(count) => format!(" x {count}"),
            _ => String::new(),
        };
        out += &format!("{}{text}: {}{count}\n", "  ".repeat(*depth), time.0);
    }
    expected.assert_eq(&out);
}

/// A thread reads a file, and the disk ends that in a hard interrupt: no softirq says that it was a block device.
const DISK: &str = "
0@0 thread_context tid=7 pid=7 comm=reader
10@0 syscall_exit nr=2 name=open ret=3
10@0 file_open path=/data flags=0 fd=3
20@0 syscall_entry nr=0 name=read arg0=0x3
30@0 block_rq_insert dev=0x800000 sector=64 nr_sector=8 op=0 bytes=4096
40@0 block_rq_issue dev=0x800000 sector=64 nr_sector=8 op=0 bytes=4096
50@0 sched_switch prev_comm=reader prev_pid=7 prev_prio=120 prev_state=D next_comm=swapper/0 next_pid=0 next_prio=120
90@0 irq_entry vector=35 name=device irq=16 user=0
92@0 irq_handler_entry irq=16 name=mmc0
94@0 block_rq_complete dev=0x800000 sector=64 nr_sector=8 op=0 bytes=4096 error=0
96@0 sched_waking comm=reader pid=7 prio=120 target_cpu=0
97@0 irq_handler_exit irq=16 ret=1
98@0 irq_exit vector=35 name=device
99@0 sched_switch prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R next_comm=reader next_pid=7 next_prio=120
110@0 syscall_exit nr=0 name=read ret=4096
120@0 power_off
";

#[test]
fn a_disk_is_named_with_its_file_and_its_interrupt_by_its_line() {
    check_path(
        DISK,
        expect![[r#"
            0      50 reader:7 ran [read 60 %, running, unknown what 20 %, user code 20 %]
            50     40 reader:7 waited: read /data, read of disk 8:0 (/data)
            90      6 reader:7 waited: read /data, read of disk 8:0 (/data), in its interrupt
            96      3 reader:7 could run [interrupt 16 mmc0 67 %, the CPU left its idle loop 33 %]
            99     21 reader:7 ran [read 52 %, user code 48 %]
        "#]],
    );
    check_wait(
        DISK,
        expect![[r#"
            reader (process 7): 120 x 1
              running: 71 x 2
                system calls: 41 x 2
                  read: 41 x 2
                user code: 20 x 2
                running, unknown what: 10 x 1
              waiting: 46 x 1
                read /data: 46 x 1
                  read of disk 8:0 (/data): 46 x 1
                    under way: 40 x 1
                    in its interrupt: 6 x 1
              could run: 3 x 1
                interrupt 16 mmc0: 2 x 1
                the CPU left its idle loop: 1 x 1
        "#]],
    );
}

/// A thread of another CPU wakes one by an interrupt sent to this CPU: who happens to run here has nothing to do with it.
#[test]
fn a_wake_up_in_an_interrupt_between_cpus_is_not_that_of_the_interrupted_thread() {
    check_path(
        "
0@0 thread_context tid=7 pid=7 comm=victim
0@1 thread_context tid=8 pid=8 comm=bystander
10@0 syscall_entry nr=7 name=poll
20@0 sched_switch prev_comm=victim prev_pid=7 prev_prio=120 prev_state=S next_comm=swapper/0 next_pid=0 next_prio=120
50@1 irq_entry vector=251 name=251 irq=-1 user=1
54@1 sched_waking comm=victim pid=7 prio=120 target_cpu=0
56@1 irq_exit vector=251 name=251
60@0 sched_switch prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R next_comm=victim next_pid=7 next_prio=120
70@0 power_off
",
        expect![[r#"
            0      20 victim:7 ran [poll 50 %, running, unknown what 50 %]
            20     30 victim:7 waited: poll, interrupt call_function_single
            50      4 victim:7 waited: poll, interrupt call_function_single, in its interrupt
            54      6 victim:7 could run [the CPU left its idle loop 100 %]
            60     10 victim:7 ran [poll 100 %]
        "#]],
    );
}

/// Timers expire in whatever interrupt: the function and who set it are what matters.
#[test]
fn a_timer_is_named_by_its_function_and_by_who_set_it() {
    check_path(
        "
0@0 thread_context tid=8 pid=8 comm=setter
5@0 timer_start timer=0x1000 function=0xffffffff81000000 expires=10
10@0 sched_switch prev_comm=setter prev_pid=8 prev_prio=120 prev_state=R next_comm=sleeper next_pid=7 next_prio=120
20@0 syscall_entry nr=7 name=poll
30@0 sched_switch prev_comm=sleeper prev_pid=7 prev_prio=120 prev_state=S next_comm=setter next_pid=8 next_prio=120
40@0 timer_cancel timer=0x1000
40@0 timer_start timer=0x1000 function=0xffffffff81000000 expires=20
80@0 irq_entry vector=236 name=apic_timer_interrupt irq=-1 user=1
82@0 softirq_raise vec=TIMER
84@0 softirq_entry vec=TIMER
85@0 timer_cancel timer=0x1000
86@0 timer_expire_entry timer=0x1000 function=0xffffffff81000000 expires=20
88@0 sched_waking comm=sleeper pid=7 prio=120 target_cpu=0
89@0 timer_expire_exit timer=0x1000
90@0 softirq_exit vec=TIMER
92@0 irq_exit vector=236 name=apic_timer_interrupt
95@0 sched_switch prev_comm=setter prev_pid=8 prev_prio=120 prev_state=R next_comm=sleeper next_pid=7 next_prio=120
99@0 power_off
",
        expect![[r#"
            0      10 sleeper:7: unknown
            10     20 sleeper:7 ran [poll 50 %, running, unknown what 50 %]
            30     10   setter:8 ran [running, unknown what 100 %]
            40     40 sleeper:7 waited: poll, timer 0xffffffff81000000 of setter:8
            80      8 sleeper:7 waited: poll, timer 0xffffffff81000000 of setter:8, in its interrupt
            88      7 sleeper:7 could run [setter:8 ran 43 %, interrupt apic_timer_interrupt 29 %, softirq TIMER 29 %]
            95      4 sleeper:7 ran [poll 100 %]
        "#]],
    );
}

/// Work that another thread queued is done by a thread of the kernel: what that did before has nothing to do with it.
#[test]
fn a_work_item_leads_back_to_who_queued_it() {
    check_path(
        "
0@0 thread_context tid=7 pid=7 comm=waiter
0@1 thread_context tid=9 pid=9 comm=kworker
5@0 syscall_entry nr=74 name=fsync
10@0 sched_switch prev_comm=waiter prev_pid=7 prev_prio=120 prev_state=D next_comm=maker next_pid=8 next_prio=120
30@0 workqueue_queue_work work=0x2000 function=0xffffffff81000000
35@1 workqueue_execute_start work=0x3000 function=0xffffffff81000100
40@1 workqueue_execute_end work=0x3000
45@1 workqueue_execute_start work=0x2000 function=0xffffffff81000000
60@1 sched_waking comm=waiter pid=7 prio=120 target_cpu=0
62@1 workqueue_execute_end work=0x2000
70@0 sched_switch prev_comm=maker prev_pid=8 prev_prio=120 prev_state=R next_comm=waiter next_pid=7 next_prio=120
80@0 power_off
",
        expect![[r#"
            0      10 waiter:7 ran [fsync 50 %, running, unknown what 50 %]
            10     20     maker:8 ran [running, unknown what 100 %]
            30     15   kworker:9 waited: work 0xffffffff81000000, in the queue
            45     15   kworker:9 ran [running, unknown what 100 %]
            60     10 waiter:7 could run [maker:8 ran 100 %]
            70     10 waiter:7 ran [fsync 100 %]
        "#]],
    );
}

/// Work that an interrupt queued has that interrupt's name.
#[test]
fn a_work_item_of_an_interrupt_names_it() {
    check_path(
        "
0@0 thread_context tid=7 pid=7 comm=waiter
0@1 thread_context tid=9 pid=9 comm=kworker
5@0 syscall_entry nr=0 name=read arg0=0x0
10@0 sched_switch prev_comm=waiter prev_pid=7 prev_prio=120 prev_state=S next_comm=swapper/0 next_pid=0 next_prio=120
20@0 irq_entry vector=33 name=device irq=1 user=0
22@0 irq_handler_entry irq=1 name=i8042
24@0 workqueue_queue_work work=0x2000 function=0xffffffff81000000
26@0 irq_handler_exit irq=1 ret=1
28@0 irq_exit vector=33 name=device
40@1 workqueue_execute_start work=0x2000 function=0xffffffff81000000
50@1 sched_waking comm=waiter pid=7 prio=120 target_cpu=0
55@1 workqueue_execute_end work=0x2000
60@0 sched_switch prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R next_comm=waiter next_pid=7 next_prio=120
80@0 power_off
",
        expect![[r#"
            0      10 waiter:7 ran [read 50 %, running, unknown what 50 %]
            10     10   kworker:9 waited: work 0xffffffff81000000 queued by interrupt 1 i8042, before that was asked for
            20      4   kworker:9 waited: work 0xffffffff81000000 queued by interrupt 1 i8042, in its interrupt
            24     16   kworker:9 waited: work 0xffffffff81000000 queued by interrupt 1 i8042, in the queue
            40     10   kworker:9 ran [running, unknown what 100 %]
            50     10 waiter:7 could run [the CPU left its idle loop 100 %]
            60     20 waiter:7 ran [read 100 %]
        "#]],
    );
}

/// A chain over three threads: each is followed back no further than the wait that it ended.
const RELAY: &str = "
0@0 thread_context tid=7 pid=7 comm=last
10@0 syscall_entry nr=0 name=read arg0=0x0
20@0 sched_switch prev_comm=last prev_pid=7 prev_prio=120 prev_state=S next_comm=middle next_pid=8 next_prio=120
30@0 syscall_entry nr=0 name=read arg0=0x0
40@0 sched_switch prev_comm=middle prev_pid=8 prev_prio=120 prev_state=S next_comm=first next_pid=9 next_prio=120
50@0 syscall_entry nr=1 name=write arg0=0x1
60@0 sched_waking comm=middle pid=8 prio=120 target_cpu=0
65@0 syscall_exit nr=1 name=write ret=1
70@0 sched_switch prev_comm=first prev_pid=9 prev_prio=120 prev_state=S next_comm=middle next_pid=8 next_prio=120
75@0 syscall_exit nr=0 name=read ret=1
80@0 syscall_entry nr=1 name=write arg0=0x1
85@0 sched_waking comm=last pid=7 prio=120 target_cpu=0
86@0 sched_waking comm=last pid=7 prio=120 target_cpu=0
90@0 syscall_exit nr=1 name=write ret=1
95@0 sched_switch prev_comm=middle prev_pid=8 prev_prio=120 prev_state=S next_comm=last next_pid=7 next_prio=120
97@0 syscall_exit nr=0 name=read ret=1
99@0 power_off
";

#[test]
fn waits_of_those_who_are_waited_for_are_followed_too() {
    check_path(
        RELAY,
        expect![[r#"
            0      20 last:7 ran [read 50 %, running, unknown what 50 %]
            20     20   middle:8 ran [read 50 %, running, unknown what 50 %]
            40     20     first:9 ran [running, unknown what 50 %, write 50 %]
            60     10   middle:8 could run [first:9 ran 100 %]
            70     15   middle:8 ran [read 33 %, user code 33 %, write 33 %]
            85     10 last:7 could run [middle:8 ran 100 %]
            95      4 last:7 ran [read 50 %, user code 50 %]
        "#]],
    );
    check_wait(
        RELAY,
        expect![[r#"
        last (process 7): 99 x 1
          waiting: 65 x 1
            read fd 0: 65 x 1
              middle:8 in write: 65 x 1
                running: 35 x 2
                  system calls: 20 x 3
                    read: 15 x 2
                    write: 5 x 1
                  running, unknown what: 10 x 1
                  user code: 5 x 1
                waiting: 20 x 1
                  read fd 0: 20 x 1
                    first:9 in write: 20 x 1
                      running: 20 x 1
                        system calls: 10 x 1
                          write: 10 x 1
                        running, unknown what: 10 x 1
                could run: 10 x 1
                  first:9 ran: 10 x 2
          running: 24 x 2
            system calls: 12 x 2
              read: 12 x 2
            running, unknown what: 10 x 1
            user code: 2 x 1
          could run: 10 x 1
            middle:8 ran: 10 x 2
    "#]],
    );
}

/// A dead end says so for its own stretch; what is known before and after it stays.
#[test]
fn what_nobody_was_seen_to_end_is_a_stretch_of_its_own() {
    check_path(
        "
0@0 thread_context tid=7 pid=7 comm=sleeper
10@0 syscall_entry nr=7 name=poll
20@0 sched_switch prev_comm=sleeper prev_pid=7 prev_prio=120 prev_state=S next_comm=swapper/0 next_pid=0 next_prio=120
40@0 sched_switch prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R next_comm=sleeper next_pid=7 next_prio=120
45@0 irq_exit vector=32
50@0 sched_switch prev_comm=sleeper prev_pid=7 prev_prio=120 prev_state=S next_comm=swapper/0 next_pid=0 next_prio=120
60@0 power_off
",
        expect![[r#"
            0      20 sleeper:7 ran [poll 50 %, running, unknown what 50 %]
            20     20 sleeper:7 waited: poll, nobody was seen to end it
            40     10 sleeper:7 ran [poll 100 %]
            50     10 sleeper:7 waited: poll, not over
        "#]],
    );
}

/// Over the loopback device a packet comes from the thread that sent it, although a softirq delivers it.
#[test]
fn a_packet_of_this_machine_leads_back_to_its_sender() {
    check_path(
        "
0@0 thread_context tid=7 pid=7 comm=server
10@0 syscall_entry nr=45 name=recvfrom arg0=0x4
20@0 sched_switch prev_comm=server prev_pid=7 prev_prio=120 prev_state=S next_comm=client next_pid=8 next_prio=120
30@0 syscall_entry nr=44 name=sendto arg0=0x3
40@0 netif_rx skbaddr=0x5000 len=60 name=lo
42@0 softirq_raise vec=NET_RX
44@0 softirq_entry vec=NET_RX
46@0 netif_receive_skb skbaddr=0x5000 len=60 name=lo
48@0 sched_waking comm=server pid=7 prio=120 target_cpu=0
50@0 softirq_exit vec=NET_RX
60@0 syscall_exit nr=44 name=sendto ret=60
70@0 sched_switch prev_comm=client prev_pid=8 prev_prio=120 prev_state=S next_comm=server next_pid=7 next_prio=120
80@0 power_off
",
        expect![[r#"
            0      20 server:7 ran [recvfrom 50 %, running, unknown what 50 %]
            20     20   client:8 ran [running, unknown what 50 %, sendto 50 %]
            40      4 server:7 waited: recvfrom fd 4, packet of client:8
            44      4 server:7 waited: recvfrom fd 4, packet of client:8, in its interrupt
            48     22 server:7 could run [client:8 ran 91 %, softirq NET_RX 9 %]
            70     10 server:7 ran [recvfrom 100 %]
        "#]],
    );
}

/// While a thread could run, another one and an interrupt had its CPU; it was moved to another CPU in between.
#[test]
fn who_had_the_cpu_is_told_for_each_cpu_that_a_thread_was_queued_on() {
    check_wait(
        "
0@0 thread_context tid=7 pid=7 comm=moved
0@1 thread_context tid=9 pid=9 comm=other
10@0 sched_switch prev_comm=moved prev_pid=7 prev_prio=120 prev_state=R next_comm=taker next_pid=8 next_prio=120
20@0 irq_entry vector=236 name=apic_timer_interrupt irq=-1 user=1
24@0 irq_exit vector=236 name=apic_timer_interrupt
30@1 sched_migrate_task comm=moved pid=7 prio=120 orig_cpu=0 dest_cpu=1
40@1 sched_switch prev_comm=other prev_pid=9 prev_prio=120 prev_state=R next_comm=moved next_pid=7 next_prio=120
50@0 power_off
",
        expect![[r#"
            moved (process 7): 50 x 1
              could run: 30 x 2
                taker:8 ran: 16 x 2
                other:9 ran: 10 x 1
                interrupt apic_timer_interrupt: 4 x 1
              running: 20 x 2
                running, unknown what: 20 x 2
        "#]],
    );
}

/// An event in an interrupt has that interrupt's cause, not the life of the thread that was interrupted.
#[test]
fn an_event_in_an_interrupt_is_explained_by_the_device() {
    check_path_to(
        DISK,
        |trace| {
            let filter = Filter::parse("event == irq_handler_exit").unwrap();
            PathEnd::Event(filter.bind(trace.schema()).unwrap(), None)
        },
        expect![[r#"
            0      30   reader:7 ran [read 33 %, running, unknown what 33 %, user code 33 %]
            30     10 read of disk 8:0 (/data), in the queue
            40     50 read of disk 8:0 (/data)
            90      7 read of disk 8:0 (/data), in its interrupt
        "#]],
    );
}
