//! What a kernel does, as the model understands it: one variant for each event that the model knows.
//!
//! The table at the end is the only place that names the events and fields which the model needs. A field whose type
//! is an `Option` may be missing from a schema or from a record; without any of the others the event cannot be used.

use super::bind::{Column, FromColumn, Row};
use super::ids::{CpuId, Pid, Tid};

/// Text as the kernel holds it: not necessarily UTF-8.
pub type Text<'a> = &'a [u8];

/// An event's name and those of its fields, with whether the model can do without the field.
#[derive(Clone, Copy, Debug)]
pub struct EventNames {
    /// Name of the event.
    pub event: &'static str,
    /// Names of its fields; `true` marks one that may be missing.
    pub fields: &'static [(&'static str, bool)],
}

macro_rules! kernel_events {
    ($(
        $(#[$doc:meta])*
        $kind:ident $(<$life:lifetime>)? $name:literal { $($field:ident: $type:ty,)* }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[allow(missing_docs, reason = "the fields are those of the event table, which documents them")]
            pub struct $kind $(<$life>)? { $(pub $field: $type,)* }

            impl $(<$life>)? $kind $(<$life>)? {
                const NAMES: EventNames = EventNames {
                    event: $name,
                    fields: &[$((stringify!($field), <$type as FromColumn<'_>>::OPTIONAL),)*],
                };
            }
        )*

        /// One event of a kernel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum KernelEvent<'a> {
            $($(#[$doc])* $kind($kind $(<$life>)?),)*
        }

        /// Which event it is, without its fields.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum EventKind {
            $($kind,)*
        }

        impl EventKind {
            pub(super) const ALL: &[(EventKind, EventNames)] = &[$((EventKind::$kind, $kind::NAMES),)*];

            /// Reads the fields; `None` when one that is needed is missing.
            #[inline]
            pub(super) fn read<'a, R: Row + ?Sized>(
                self,
                columns: &'a [Column],
                row: &'a R,
            ) -> Option<KernelEvent<'a>> {
                let mut columns = columns.iter();
                Some(match self {
                    $(EventKind::$kind => {
                        KernelEvent::$kind($kind { $($field: FromColumn::from_column(columns.next()?, row)?,)* })
                    })*
                })
            }
        }

        /// Every event that the model knows.
        pub fn model_events() -> impl Iterator<Item = EventNames> {
            EventKind::ALL.iter().map(|(_, names)| *names)
        }
    };
}

kernel_events! {
    /// User code calls the kernel.
    SyscallEntry<'a> "syscall_entry" {
        nr: u64, name: Option<Text<'a>>, ip: Option<u64>,
        arg0: Option<u64>, arg1: Option<u64>, arg2: Option<u64>,
        arg3: Option<u64>, arg4: Option<u64>, arg5: Option<u64>,
    }
    /// The kernel returns from a call.
    SyscallExit "syscall_exit" { nr: Option<u64>, ret: Option<i64>, }
    /// 32-bit user code calls the kernel.
    CompatSyscallEntry<'a> "compat_syscall_entry" {
        nr: u64, name: Option<Text<'a>>, ip: Option<u64>,
        arg0: Option<u64>, arg1: Option<u64>, arg2: Option<u64>,
        arg3: Option<u64>, arg4: Option<u64>, arg5: Option<u64>,
    }
    /// The kernel returns from a call of 32-bit code.
    CompatSyscallExit "compat_syscall_exit" { nr: Option<u64>, ret: Option<i64>, }
    /// The CPU raises an exception.
    TrapEntry "trap_entry" {
        vector: u64, ip: Option<u64>, error_code: Option<u64>, address: Option<u64>, user: Option<bool>,
    }
    /// The handler of an exception ends.
    TrapExit "trap_exit" { vector: Option<u64>, }
    /// The CPU takes an interrupt.
    IrqEntry "irq_entry" { vector: u64, irq: Option<i64>, user: Option<bool>, }
    /// The interrupt ends.
    IrqExit "irq_exit" { vector: Option<u64>, }
    /// A driver's handler starts.
    IrqHandlerEntry<'a> "irq_handler_entry" { irq: i64, name: Option<Text<'a>>, }
    /// A driver's handler ends.
    IrqHandlerExit "irq_handler_exit" { irq: Option<i64>, ret: Option<i64>, }
    /// A softirq is made pending.
    SoftirqRaise "softirq_raise" { vec: u64, }
    /// A softirq starts.
    SoftirqEntry "softirq_entry" { vec: u64, }
    /// A softirq ends.
    SoftirqExit "softirq_exit" { vec: Option<u64>, }
    /// A CPU leaves prev and runs next.
    SchedSwitch<'a> "sched_switch" {
        prev_comm: Option<Text<'a>>, prev_pid: Tid, prev_prio: Option<i64>, prev_state: Option<u64>,
        next_comm: Option<Text<'a>>, next_pid: Tid, next_prio: Option<i64>,
    }
    /// A thread is about to be woken, seen where the waker runs.
    SchedWaking<'a> "sched_waking" {
        comm: Option<Text<'a>>, pid: Tid, prio: Option<i64>, target_cpu: Option<CpuId>,
    }
    /// A thread was woken.
    SchedWakeup<'a> "sched_wakeup" {
        comm: Option<Text<'a>>, pid: Tid, prio: Option<i64>, target_cpu: Option<CpuId>,
    }
    /// A new thread may run for the first time.
    SchedWakeupNew<'a> "sched_wakeup_new" {
        comm: Option<Text<'a>>, pid: Tid, prio: Option<i64>, target_cpu: Option<CpuId>,
    }
    /// A thread is moved to another CPU.
    SchedMigrate "sched_migrate_task" { pid: Tid, orig_cpu: Option<CpuId>, dest_cpu: Option<CpuId>, }
    /// A thread makes another.
    ProcessFork<'a> "sched_process_fork" {
        parent_pid: Tid, child_comm: Option<Text<'a>>, child_pid: Tid, child_tgid: Option<Pid>,
    }
    /// A thread runs another program.
    ProcessExec<'a> "sched_process_exec" { filename: Option<Text<'a>>, pid: Tid, old_pid: Option<Tid>, }
    /// A thread is about to end.
    ProcessExit<'a> "sched_process_exit" { comm: Option<Text<'a>>, pid: Tid, }
    /// A thread waits for a child.
    ProcessWait "sched_process_wait" { pid: Option<Tid>, }
    /// A signal is sent.
    SignalGenerate "signal_generate" { sig: u64, }
    /// A signal reaches its thread.
    SignalDeliver "signal_deliver" { sig: u64, }
    /// A kernel thread was made.
    KthreadCreate "kthread_create" { pid: Tid, }
    /// A thread changes its name.
    TaskRename<'a> "task_rename" { pid: Tid, oldcomm: Option<Text<'a>>, newcomm: Text<'a>, }
    /// The kernel's periodic timer.
    Tick "tick" {}
    /// A timer's function starts.
    TimerExpireEntry "timer_expire_entry" {}
    /// A timer's function ends.
    TimerExpireExit "timer_expire_exit" {}
    /// A high-resolution timer's function starts.
    HrtimerExpireEntry "hrtimer_expire_entry" {}
    /// A high-resolution timer's function ends.
    HrtimerExpireExit "hrtimer_expire_exit" {}
    /// An idle CPU goes to sleep, or awakes.
    CpuIdle "cpu_idle" { state: i64, }
    /// The thread that runs on the CPU from here on.
    ThreadContext<'a> "thread_context" { tid: Tid, pid: Option<Pid>, comm: Option<Text<'a>>, }
    /// Recording begins or goes on.
    RecordingStart "recording_start" {}
    /// Recording stops for a while.
    RecordingStop "recording_stop" {}
    /// A thread that exists when recording begins.
    TaskState<'a> "task_state" {
        pid: Tid, tgid: Option<Pid>, ppid: Option<Pid>, comm: Option<Text<'a>>, state: Option<u64>,
        on_cpu: Option<bool>, kthread: Option<bool>,
    }
    /// The machine is switched off.
    PowerOff "power_off" {}
    /// The machine is restarted.
    Restart "restart" {}
    /// The machine is halted.
    Halt "halt" {}
    /// The kernel gives up.
    Panic "panic" {}
}
