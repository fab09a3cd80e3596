//! Tests of the model: a script of events, and what each thread and CPU then did.
//!
//! A script is `TIME[@CPU] EVENT ARGUMENTS; ...`; the last time ends the trace.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

mod lives;
mod waits;

#[derive(Default)]
struct Log {
    /// What ended each wait, and what the thread had asked for.
    waits: Vec<String>,
    threads: BTreeMap<(u32, usize), Vec<String>>,
    cpus: BTreeMap<CpuId, Vec<String>>,
    frames: Vec<String>,
}

impl Observer for Log {
    fn thread_interval(&mut self, _machine: &Machine, interval: &ThreadInterval<'_>) {
        let thread = interval.thread;
        if interval.activity == Activity::Blocked
            && let Some(waker) = thread.waker
        {
            let asked = thread.asked.name();
            let (tid, via) = (thread.tid, waker.via.name());
            self.waits
                .push(format!("{tid} waited for {asked}, ended by {via}"));
        }
        if interval.thread.idle_of.is_none() {
            let key = (interval.thread.tid.0, interval.index.index());
            self.threads
                .entry(key)
                .or_default()
                .push(step(interval.activity, interval.span));
        }
    }

    fn request_done(
        &mut self,
        machine: &Machine,
        request: &Request,
        at: GuestNanos,
        _error: Option<i64>,
    ) {
        let Request { sector, done, .. } = request;
        let since = |time: Option<GuestNanos>| time.map(|time| at.since(time).0);
        let thread = request.thread.map(|index| machine.threads()[index].tid.0);
        self.waits.push(format!(
            "request {sector} of {thread:?}: {done} bytes, {:?} after queue, {:?} after issue",
            since(request.inserted),
            since(request.issued)
        ));
    }

    fn cpu_interval(&mut self, _machine: &Machine, cpu: CpuId, activity: Activity, span: Span) {
        self.cpus.entry(cpu).or_default().push(step(activity, span));
    }

    fn frame_left(&mut self, _machine: &Machine, frame: &FrameInterval<'_>) {
        let length = frame.span.length().0;
        self.frames.push(match frame.frame() {
            Frame::Syscall { nr, .. } => {
                format!("syscall {nr} took {length} = {:?}", frame.ret.unwrap_or(0))
            }
            other => format!("{other:?} took {length}"),
        });
    }
}

fn step(activity: Activity, span: Span) -> String {
    format!("{} {}", activity.name(), span.length().0)
}

fn run(script: &str) -> (Model<Log>, u64) {
    let mut model = Model::new(Log::default());
    let mut end = 0;
    for line in script
        .split(';')
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (time, cpu) = words[0].split_once('@').unwrap_or((words[0], "0"));
        end = time.parse().unwrap();
        let (at, cpu) = (GuestNanos(end), CpuId(cpu.parse().unwrap()));
        match words[1] {
            "end" => {}
            "boot" => model.start_idle(at, cpu),
            "lost" => model.lose(at, cpu),
            name => model.apply(at, cpu, &event(name, &words[2..])),
        }
    }
    model.finish(GuestNanos(end));
    (model, end)
}

fn number(word: &str) -> u64 {
    word.parse().unwrap()
}

fn tid(word: &str) -> Tid {
    Tid(word.parse().unwrap())
}

fn state(word: &str) -> u64 {
    match word {
        "R" => 0,
        "S" => 1,
        "D" => 2,
        "T" => 4,
        "X" => 0x10,
        other => panic!("no state {other}"),
    }
}

fn event<'a>(name: &str, words: &[&'a str]) -> KernelEvent<'a> {
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    let user = words.get(1).map(|word| *word == "user");
    match name {
        "call" => call(number(0), None),
        "ret" => {
            let ret = words.get(1).map(|word| word.parse().unwrap());
            KernelEvent::SyscallExit(SyscallExit {
                nr: Some(number(0)),
                ret,
            })
        }
        "trap" => {
            let (vector, ip, error_code, address) = (number(0), None, None, None);
            KernelEvent::TrapEntry(TrapEntry {
                vector,
                ip,
                error_code,
                address,
                user,
            })
        }
        "trap_end" => KernelEvent::TrapExit(TrapExit {
            vector: Some(number(0)),
        }),
        "irq" => KernelEvent::IrqEntry(IrqEntry {
            vector: number(0),
            name: None,
            irq: None,
            user,
        }),
        "forgotten_irq_end" => KernelEvent::IrqExit(IrqExit {
            vector: Some(u64::MAX),
        }),
        "irq_end" => KernelEvent::IrqExit(IrqExit {
            vector: Some(number(0)),
        }),
        "softirq" => KernelEvent::SoftirqEntry(SoftirqEntry { vec: number(0) }),
        "softirq_end" => KernelEvent::SoftirqExit(SoftirqExit {
            vec: Some(number(0)),
        }),
        "named_call" => call(number(0), Some(words[1].as_bytes())),
        "queue" | "issue" | "complete" => request_event(name, words),
        "timer" => KernelEvent::TimerExpireEntry(TimerExpireEntry {
            timer: None,
            function: Some(number(0)),
            expires: None,
            baseclk: None,
        }),
        "timer_end" => KernelEvent::TimerExpireExit(TimerExpireExit { timer: None }),
        "packet" => KernelEvent::NetifReceiveSkb(NetifReceiveSkb {
            skbaddr: None,
            len: number(0),
            name: None,
        }),
        "sleep" => KernelEvent::CpuIdle(CpuIdle { state: 1 }),
        _ => thread_event(name, words),
    }
}

/// `queue SECTOR BYTES`, and so on.
fn request_event(name: &str, words: &[&str]) -> KernelEvent<'static> {
    let (dev, sector, bytes) = (8, number(words[0]), Some(number(words[1])));
    let (nr_sector, op, error) = (None, None, None);
    match name {
        "queue" => KernelEvent::BlockRqInsert(BlockRqInsert {
            dev,
            sector,
            nr_sector,
            op,
            bytes,
        }),
        "issue" => KernelEvent::BlockRqIssue(BlockRqIssue {
            dev,
            sector,
            nr_sector,
            op,
            bytes,
        }),
        _ => KernelEvent::BlockRqComplete(BlockRqComplete {
            dev,
            sector,
            nr_sector,
            op,
            bytes,
            error,
        }),
    }
}

fn call<'a>(nr: u64, name: Option<&'a [u8]>) -> KernelEvent<'a> {
    let (ip, arg0, arg1, arg2) = (None, None, None, None);
    let (arg3, arg4, arg5) = (None, None, None);
    KernelEvent::SyscallEntry(SyscallEntry {
        nr,
        name,
        ip,
        arg0,
        arg1,
        arg2,
        arg3,
        arg4,
        arg5,
    })
}

fn thread_event<'a>(name: &str, words: &[&'a str]) -> KernelEvent<'a> {
    let pid = tid(words[0]);
    let (comm, prio, target_cpu) = (None, None, None);
    match name {
        "switch" => KernelEvent::SchedSwitch(SchedSwitch {
            prev_comm: None,
            prev_pid: pid,
            prev_prio: None,
            prev_state: Some(state(words[1])),
            next_comm: None,
            next_pid: tid(words[2]),
            next_prio: None,
        }),
        "waking" => KernelEvent::SchedWaking(SchedWaking {
            comm,
            pid,
            prio,
            target_cpu,
        }),
        "wakeup" => KernelEvent::SchedWakeup(SchedWakeup {
            comm,
            pid,
            prio,
            target_cpu,
        }),
        "new" => KernelEvent::SchedWakeupNew(SchedWakeupNew {
            comm,
            pid,
            prio,
            target_cpu,
        }),
        "fork" => KernelEvent::ProcessFork(ProcessFork {
            parent_pid: pid,
            child_comm: None,
            child_pid: tid(words[1]),
            child_tgid: Some(Pid(tid(words[1]).0)),
        }),
        "exec" => {
            let old_pid = words.get(1).map(|word| tid(word));
            KernelEvent::ProcessExec(ProcessExec {
                filename: None,
                pid,
                old_pid,
            })
        }
        "exit" => KernelEvent::ProcessExit(ProcessExit { comm, pid }),
        "context" => {
            let comm = words.get(1).map(|word| word.as_bytes());
            KernelEvent::ThreadContext(ThreadContext {
                tid: pid,
                pid: Some(Pid(pid.0)),
                comm,
            })
        }
        "stop" => KernelEvent::RecordingStop(RecordingStop {}),
        "start" => KernelEvent::RecordingStart(RecordingStart {}),
        "exists" => KernelEvent::TaskState(TaskState {
            pid,
            tgid: Some(Pid(pid.0)),
            ppid: Some(Pid(1)),
            comm: None,
            state: Some(state(words[1])),
            on_cpu: Some(words.get(2) == Some(&"on_cpu")),
            kthread: None,
        }),
        other => panic!("no event {other}"),
    }
}

/// Runs a script; the states of every thread and CPU must add up to its time, whatever it says.
fn check(script: &str, expected: Expect) {
    let (model, end) = run(script);
    check_partitions(&model, end);
    let mut out = String::new();
    let log = &model.observer;
    for ((tid, _), steps) in &log.threads {
        writeln!(out, "{tid}: {}", steps.join(", ")).unwrap();
    }
    for (cpu, steps) in &log.cpus {
        writeln!(out, "cpu {cpu}: {}", steps.join(", ")).unwrap();
    }
    for line in log.frames.iter().chain(&log.waits) {
        writeln!(out, "{line}").unwrap();
    }
    for (doubt, count) in model.machine().doubts().iter() {
        writeln!(out, "! {} {count}", doubt.name()).unwrap();
    }
    expected.assert_eq(&out);
}

fn check_partitions(model: &Model<Log>, end: u64) {
    let log = &model.observer;
    for (cpu, steps) in &log.cpus {
        assert_eq!(
            total(steps),
            end,
            "the states of CPU {cpu} must partition the trace"
        );
    }
    for (index, thread) in model
        .machine()
        .threads()
        .iter()
        .filter(|(_, thread)| thread.idle_of.is_none())
    {
        let mine = log
            .threads
            .iter()
            .filter(|((_, at), _)| *at == index.index());
        let steps: Vec<String> = mine.flat_map(|(_, steps)| steps.clone()).collect();
        let life = thread.died.map_or(end, |died| died.0) - thread.born.0;
        assert_eq!(
            total(&steps),
            life,
            "the states of thread {} must partition its life",
            thread.tid
        );
    }
    let running = model
        .machine()
        .cpus()
        .filter_map(|cpu| model.machine().current(cpu))
        .collect::<Vec<_>>();
    let mut distinct = running.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(
        distinct.len(),
        running.len(),
        "a thread runs on one CPU at a time"
    );
}

/// Any event, sensible or not.
fn any_event() -> impl Strategy<Value = String> {
    let tid = || 0..5_u32;
    prop_oneof![
        4 => (tid(), prop::sample::select(vec!["R", "S", "D", "X"]), tid()).prop_map(|(prev, state, next)| {
            format!("switch {prev} {state} {next}")
        }),
        2 => (0..3_u32).prop_map(|nr| format!("call {nr}")),
        2 => (0..3_u32).prop_map(|nr| format!("ret {nr} 0")),
        2 => (prop::sample::select(vec!["trap", "irq", "softirq"]), prop::bool::ANY)
            .prop_map(|(what, user)| format!("{what} 3 {}", if user { "user" } else { "kernel" })),
        2 => prop::sample::select(vec!["trap_end 3", "irq_end 3", "softirq_end 3"]).prop_map(str::to_owned),
        2 => (prop::sample::select(vec!["waking", "wakeup", "new", "exit", "context"]), 1..5_u32)
            .prop_map(|(what, tid)| format!("{what} {tid}")),
        1 => (tid(), 1..5_u32).prop_map(|(parent, child)| format!("fork {parent} {child}")),
        1 => (1..5_u32, 1..5_u32).prop_map(|(tid, old)| format!("exec {tid} {old}")),
        1 => prop::sample::select(vec!["boot", "lost", "sleep"]).prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn states_partition_time_whatever_happens(
        events in prop::collection::vec((0..4_u64, 0..3_u32, any_event()), 1..120)
    ) {
        let mut at = 0;
        let mut script = String::new();
        for (step, cpu, event) in events {
            // Now and then time runs backwards.
            at = if step == 3 { at - at.min(1) } else { at + step };
            writeln!(script, "{at}@{cpu} {event};").unwrap();
        }
        writeln!(script, "{} end", at + 200).unwrap();
        let (model, end) = run(&script);
        check_partitions(&model, end);
    }
}

fn total(steps: &[String]) -> u64 {
    steps
        .iter()
        .map(|step| number(step.split_once(' ').unwrap().1))
        .sum()
}

#[test]
fn nothing_is_known_while_recording_is_stopped() {
    check(
        "0 context 7; 10 call 0; 20 stop 0; 60 context 7; 60 start 0; 60 exists 8 S; 60 exists 9 R; 60 exists 7 R on_cpu; \
         70 switch 7 R 8; 80 end 0",
        expect![[r#"
            1: unknown 80
            7: running_unknown 10, syscall 10, unknown 40, running_unknown 10, runnable 10
            8: unknown 60, blocked 10, running_unknown 10
            9: unknown 60, runnable 20
            cpu 0: running_unknown 10, syscall 10, unknown 40, running_unknown 20
        "#]],
    );
}

#[test]
fn preempted_thread_stays_runnable() {
    check(
        "0 switch 7 R 8; 5 switch 8 S 7; 6 end",
        expect![[r#"
        7: runnable 5, running_unknown 1
        8: running_unknown 5, blocked 1
        cpu 0: running_unknown 6
    "#]],
    );
}

#[test]
fn nothing_is_known_before_the_first_evidence() {
    check(
        "10 switch 7 S 8; 15 call 1; 20 ret 1; 25 end",
        expect![[r#"
            7: unknown 10, blocked 15
            8: unknown 10, running_unknown 5, syscall 5, user 5
            cpu 0: unseen 10, running_unknown 5, syscall 5, user 5
            syscall 1 took 5 = 0
        "#]],
    );
}

#[test]
fn wait_inside_a_system_call_resumes_there() {
    check(
        "0 boot; 1 switch 0 R 7; 2 irq 32 user; 3 irq_end 32; 4 call 0; 6 switch 7 S 0; 9 irq 33; 10 waking 7; \
         11 irq_end 33; 12 switch 0 R 7; 14 ret 0 100; 15 end",
        expect![[r#"
            7: unknown 1, running_unknown 1, irq 1, user 1, syscall 2, blocked 4, runnable 2, syscall 2, user 1
            cpu 0: kernel 1, running_unknown 1, irq 1, user 1, syscall 2, idle 3, irq 2, idle 1, syscall 2, user 1
            Irq { vector: 32 } took 1
            Irq { vector: 33 } took 2
            syscall 0 took 10 = 100
            7 waited for call, ended by irq
        "#]],
    );
}

#[test]
fn page_fault_inside_a_system_call_is_a_trap() {
    check(
        "0 switch 0 R 7; 1 call 0; 2 trap 14 kernel; 4 trap_end 14; 5 ret 0; 6 trap 14 user; 8 trap_end 14; 9 end",
        expect![[r#"
            7: running_unknown 1, syscall 1, trap 2, syscall 1, user 1, trap 2, user 1
            cpu 0: running_unknown 1, syscall 1, trap 2, syscall 1, user 1, trap 2, user 1
            Trap { vector: 14 } took 2
            syscall 0 took 4 = 0
            Trap { vector: 14 } took 2
        "#]],
    );
}

#[test]
fn end_of_a_device_interrupt_has_forgotten_its_vector() {
    check(
        "0 boot; 1 irq 34 kernel; 2 irq 35 kernel; 3 forgotten_irq_end; 5 forgotten_irq_end; 6 end",
        expect![[r#"
            cpu 0: kernel 1, irq 4, kernel 1
            Irq { vector: 35 } took 1
            Irq { vector: 34 } took 4
        "#]],
    );
}

#[test]
fn interrupts_nest() {
    check(
        "0 switch 0 R 7; 1 irq 32 user; 2 softirq 1; 4 irq 33 kernel; 5 trap 3 kernel; 6 trap_end 3; 7 irq_end 33; \
         8 softirq_end 1; 9 irq_end 32; 10 end",
        expect![[r#"
            7: running_unknown 1, irq 1, softirq 2, irq 3, softirq 1, irq 1, user 1
            cpu 0: running_unknown 1, irq 1, softirq 2, irq 3, softirq 1, irq 1, user 1
            Trap { vector: 3 } took 1
            Irq { vector: 33 } took 3
            Softirq { vec: 1 } took 6
            Irq { vector: 32 } took 8
        "#]],
    );
}

#[test]
fn thread_preempted_on_the_way_out_of_an_interrupt_resumes_there() {
    check(
        "0 switch 0 R 7; 1 irq 32 user; 3 switch 7 R 8; 4 irq 32 user; 5 irq_end 32; 6 switch 8 S 7; 7 irq_end 32; 9 end",
        expect![[r#"
            7: running_unknown 1, irq 2, runnable 3, irq 1, user 2
            8: unknown 3, running_unknown 1, irq 1, user 1, blocked 3
            cpu 0: running_unknown 1, irq 2, running_unknown 1, irq 1, user 1, irq 1, user 2
            Irq { vector: 32 } took 1
            Irq { vector: 32 } took 6
        "#]],
    );
}

#[test]
fn return_of_a_signal_handler_ends_with_another_number() {
    check(
        "0 switch 0 R 7; 1 call 15; 2 ret 4294967295; 3 call 0; 4 ret 0 5; 5 end",
        expect![[r#"
            7: running_unknown 1, syscall 1, user 1, syscall 1, user 1
            cpu 0: running_unknown 1, syscall 1, user 1, syscall 1, user 1
            syscall 15 took 1 = 0
            syscall 0 took 1 = 5
        "#]],
    );
}

#[test]
fn exit_without_entry_is_counted_and_harmless() {
    check(
        "0 switch 0 R 7; 1 irq_end 32; 2 call 0; 3 irq_end 32; 4 softirq_end 1; 5 ret 0; 6 ret 0; 7 end",
        expect![[r#"
            7: running_unknown 2, syscall 3, user 2
            cpu 0: running_unknown 2, syscall 3, user 2
            syscall 0 took 3 = 0
            ! exit_without_entry 3
        "#]],
    );
}

#[test]
fn entry_without_exit_is_counted_and_dropped() {
    check(
        "0 switch 0 R 7; 1 call 0; 2 trap 14 kernel; 3 ret 0; 4 call 1; 5 call 2; 6 irq 32 user; 7 irq_end 32; 8 end",
        expect![[r#"
            7: running_unknown 1, syscall 1, trap 1, user 1, syscall 1, syscall 1, irq 1, user 1
            cpu 0: running_unknown 1, syscall 1, trap 1, user 1, syscall 2, irq 1, user 1
            syscall 0 took 2 = 0
            Irq { vector: 32 } took 1
            ! entry_without_exit 3
        "#]],
    );
}

#[test]
fn wakeup_before_the_switch_out_wins() {
    check(
        "0 switch 0 R 7; 0@1 switch 0 R 8; 1@1 waking 7; 2 switch 7 S 0; 3@1 wakeup 7; 4 switch 0 R 7; 5 end",
        expect![[r#"
            7: running_unknown 2, runnable 2, running_unknown 1
            8: running_unknown 5
            cpu 0: running_unknown 2, idle 2, running_unknown 1
            cpu 1: running_unknown 5
        "#]],
    );
}

#[test]
fn completed_wakeup_of_a_running_thread_does_not_wake_its_next_sleep() {
    check(
        "0 switch 0 R 7; 0@1 switch 0 R 8; 1@1 waking 7; 1@1 wakeup 7; 2 switch 7 S 0; 4@1 waking 7; 5 switch 0 R 7; 6 end",
        expect![[r#"
            7: running_unknown 2, blocked 2, runnable 1, running_unknown 1
            8: running_unknown 6
            cpu 0: running_unknown 2, idle 3, running_unknown 1
            cpu 1: running_unknown 6
            7 waited for kernel, ended by thread
        "#]],
    );
}

#[test]
fn switch_from_an_unexpected_thread_makes_the_expected_one_unknown() {
    check(
        "0 switch 0 R 7; 2 call 1; 6 switch 8 S 9; 8 switch 9 S 7; 9 end",
        expect![[r#"
            7: running_unknown 2, unknown 6, running_unknown 1
            8: unknown 6, blocked 3
            9: unknown 6, running_unknown 2, blocked 1
            cpu 0: running_unknown 2, unknown 4, running_unknown 3
            ! switch_from_unexpected_thread 1
        "#]],
    );
}

#[test]
fn thread_on_two_cpus_is_where_it_was_seen_last() {
    check(
        "0 switch 0 R 7; 1@1 switch 0 R 8; 3@1 switch 8 S 7; 5 call 1; 6 end",
        expect![[r#"
            7: unknown 3, running_unknown 3
            8: unknown 1, running_unknown 2, blocked 3
            cpu 0: unknown 6
            cpu 1: unseen 1, running_unknown 5
            ! switch_to_running_thread 1
            ! event_without_thread 1
        "#]],
    );
}

#[test]
fn after_a_gap_nothing_of_that_cpu_is_known() {
    check(
        "0 switch 0 R 7; 0@1 switch 0 R 8; 1 call 1; 2 switch 7 S 9; 4 lost; 4 context 9; 5 call 1; 6@1 call 2; 7 end",
        expect![[r#"
            7: running_unknown 1, syscall 1, unknown 5
            8: running_unknown 6, syscall 1
            9: unknown 2, unknown 2, running_unknown 1, syscall 2
            cpu 0: running_unknown 1, syscall 1, unknown 2, running_unknown 1, syscall 2
            cpu 1: running_unknown 6, syscall 1
        "#]],
    );
}

#[test]
fn context_before_its_switch_is_no_contradiction() {
    check(
        "0 context 7 sh; 3 context 8 ls; 3 switch 7 S 8; 5 context 8 cat; 6 end",
        expect![[r#"
            7: running_unknown 3, blocked 3
            8: unknown 3, running_unknown 3
            cpu 0: running_unknown 6
        "#]],
    );
    check(
        "0 context 7; 3 context 8; 4 call 1; 6 end",
        expect![[r#"
        7: running_unknown 3, unknown 3
        8: unknown 4, syscall 2
        cpu 0: running_unknown 3, unknown 1, syscall 2
        ! context_disagrees 1
    "#]],
    );
}

#[test]
fn switch_to_a_thread_that_was_not_woken_is_doubtful_only_with_wakeups() {
    check(
        "0 switch 7 S 8; 2 switch 8 S 7; 3 end",
        expect![[r#"
        7: blocked 2, running_unknown 1
        8: running_unknown 2, blocked 1
        cpu 0: running_unknown 3
    "#]],
    );
    check(
        "0 switch 7 S 8; 1 waking 9; 2 switch 8 S 7; 3 end",
        expect![[r#"
            7: blocked 2, running_unknown 1
            8: running_unknown 2, blocked 1
            9: unknown 1, runnable 2
            cpu 0: running_unknown 3
            ! switch_to_blocked_thread 1
        "#]],
    );
}

#[test]
fn time_never_runs_backwards() {
    check(
        "5 switch 0 R 7; 3 call 1; 6 ret 1; 7 end",
        expect![[r#"
        7: unknown 5, syscall 1, user 1
        cpu 0: unseen 5, syscall 1, user 1
        syscall 1 took 1 = 0
        ! time_backwards 1
    "#]],
    );
}

#[test]
fn sleeping_cpu_runs_its_idle_thread() {
    check(
        "2 sleep; 5 switch 0 R 7; 6 end",
        expect![[r#"
        7: unknown 5, running_unknown 1
        cpu 0: unseen 2, idle 3, running_unknown 1
    "#]],
    );
}
