//! What a kernel does, as the model understands it: one variant for each event that the model knows.
//!
//! The table at the end is the only place that names the events and fields which the model needs. A field whose type
//! is an `Option` may be missing from a schema or from a record; without any of the others the event cannot be used.

use super::bind::{Column, FromColumn, Row};
use super::calls::CallArgs;
use super::ids::{CpuId, Pid, Tid};

/// Text as the kernel holds it: not necessarily UTF-8.
pub type Text<'a> = &'a [u8];

/// An event's name and its fields.
#[derive(Clone, Copy, Debug)]
pub struct EventNames {
    /// Name of the event.
    pub event: &'static str,
    /// Its fields.
    pub fields: &'static [FieldUse],
}

/// A field that the model reads.
#[derive(Clone, Copy, Debug)]
pub struct FieldUse {
    /// Its name.
    pub name: &'static str,
    /// Whether the model can do without.
    pub is_optional: bool,
    /// Whether it is the number of a thread or process.
    pub is_thread: bool,
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
                    fields: &[$(FieldUse {
                        name: stringify!($field),
                        is_optional: <$type as FromColumn<'_>>::OPTIONAL,
                        is_thread: <$type as FromColumn<'_>>::IS_THREAD,
                    },)*],
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

        /// The event of that name, if the model knows one.
        #[must_use]
        pub fn model_event(name: &str) -> Option<EventNames> {
            model_events().find(|names| names.event == name)
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
    IrqEntry<'a> "irq_entry" { vector: u64, name: Option<Text<'a>>, irq: Option<i64>, user: Option<bool>, }
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
    SignalGenerate<'a> "signal_generate" {
        sig: u64, code: Option<i64>, comm: Option<Text<'a>>, pid: Option<Tid>, group: Option<bool>, result: Option<u64>,
    }
    /// A signal reaches its thread.
    SignalDeliver "signal_deliver" { sig: u64, code: Option<i64>, sa_handler: Option<u64>, }
    /// A kernel thread was made.
    KthreadCreate "kthread_create" { pid: Tid, }
    /// A thread changes its name.
    TaskRename<'a> "task_rename" { pid: Tid, oldcomm: Option<Text<'a>>, newcomm: Text<'a>, }
    /// The kernel's periodic timer.
    Tick "tick" {}
    /// A timer's function starts.
    TimerExpireEntry "timer_expire_entry" {
        timer: Option<u64>, function: Option<u64>, expires: Option<u64>, baseclk: Option<u64>,
    }
    /// A timer's function ends.
    TimerExpireExit "timer_expire_exit" { timer: Option<u64>, }
    /// A timer is set.
    TimerStart "timer_start" { timer: u64, function: Option<u64>, expires: Option<u64>, }
    /// A timer is taken back.
    TimerCancel "timer_cancel" { timer: u64, }
    /// A high-resolution timer's function starts.
    HrtimerExpireEntry "hrtimer_expire_entry" { hrtimer: Option<u64>, function: Option<u64>, now: Option<u64>, }
    /// A high-resolution timer's function ends.
    HrtimerExpireExit "hrtimer_expire_exit" { hrtimer: Option<u64>, }
    /// A high-resolution timer is set.
    HrtimerStart "hrtimer_start" { hrtimer: u64, function: Option<u64>, expires: Option<u64>, }
    /// A high-resolution timer is taken back.
    HrtimerCancel "hrtimer_cancel" { hrtimer: u64, }
    /// A program sets its interval timer.
    ItimerState<'a> "itimer_state" { which: Option<Text<'a>>, value: Option<i64>, interval: Option<i64>, }
    /// A program's interval timer fires.
    ItimerExpire<'a> "itimer_expire" { which: Option<Text<'a>>, pid: Option<Pid>, }
    /// A tasklet starts.
    TaskletEntry "tasklet_entry" { function: Option<u64>, }
    /// A tasklet ends.
    TaskletExit "tasklet_exit" {}
    /// A work item starts in a thread of the kernel.
    WorkStart "workqueue_execute_start" { work: Option<u64>, function: Option<u64>, }
    /// A work item ends.
    WorkEnd "workqueue_execute_end" { work: Option<u64>, }
    /// A work item is queued.
    WorkQueue "workqueue_queue_work" { work: u64, function: Option<u64>, }
    /// A request is put into the queue of its device.
    BlockRqInsert "block_rq_insert" {
        dev: u64, sector: u64, nr_sector: Option<u64>, op: Option<u64>, bytes: Option<u64>,
    }
    /// A request goes to its device.
    BlockRqIssue "block_rq_issue" {
        dev: u64, sector: u64, nr_sector: Option<u64>, op: Option<u64>, bytes: Option<u64>,
    }
    /// A device has done a part of a request, or all of it.
    BlockRqComplete "block_rq_complete" {
        dev: u64, sector: u64, nr_sector: Option<u64>, op: Option<u64>, bytes: Option<u64>, error: Option<i64>,
    }
    /// A device could not take a request.
    BlockRqRequeue "block_rq_requeue" { dev: u64, sector: u64, }
    /// A thread begins to wait for a page.
    PageWaitStart "page_wait_start" { page: Option<u64>, }
    /// It has the page.
    PageWaitEnd "page_wait_end" {}
    /// A thread begins to wait for a buffer.
    BufferWaitStart "buffer_wait_start" { block: Option<u64>, dev: Option<u64>, }
    /// It has the buffer.
    BufferWaitEnd "buffer_wait_end" {}
    /// A file was opened, or was not: `fd` is then an error.
    FileOpen<'a> "file_open" { path: Option<Text<'a>>, flags: Option<u64>, fd: i64, }
    /// A file was closed.
    FileClose "file_close" { fd: i64, ret: Option<i64>, }
    /// A file was read.
    FileRead "file_read" { fd: Option<i64>, asked: Option<u64>, offset: Option<i64>, done: Option<i64>, }
    /// A file was written.
    FileWrite "file_write" { fd: Option<i64>, asked: Option<u64>, offset: Option<i64>, done: Option<i64>, }
    /// A file that a process has open when recording begins.
    OpenFile<'a> "open_file" {
        pid: Pid, fd: u64, name: Option<Text<'a>>, directory: Option<Text<'a>>, fs: Option<Text<'a>>,
        inode: Option<u64>, flags: Option<u64>, position: Option<u64>,
    }
    /// A socket was made.
    SocketCreate<'a> "socket_create" {
        family: Option<Text<'a>>, protocol: Option<u64>, fd: i64,
    }
    /// A process has done something with a socket.
    SocketCall<'a> "socket_call" {
        call: Option<Text<'a>>, fd: Option<i64>, ret: Option<i64>, family: Option<Text<'a>>, port: Option<u64>,
        address: Option<u64>, path: Option<Text<'a>>,
    }
    /// A thread waits at a futex, or wakes others there.
    FutexStart<'a> "futex_start" { uaddr: u64, op: Option<Text<'a>>, val: Option<u64>, }
    /// It has waited, or woken others.
    FutexEnd<'a> "futex_end" { uaddr: u64, op: Option<Text<'a>>, ret: Option<i64>, }
    /// A packet has come in.
    NetifReceiveSkb<'a> "netif_receive_skb" { skbaddr: Option<u64>, len: u64, name: Option<Text<'a>>, }
    /// A packet is queued at the device that is to send it.
    NetDevQueue<'a> "net_dev_queue" { skbaddr: Option<u64>, len: u64, name: Option<Text<'a>>, }
    /// A device has taken a packet, or refused it.
    NetDevXmit<'a> "net_dev_xmit" { skbaddr: Option<u64>, len: u64, rc: Option<i64>, name: Option<Text<'a>>, }
    /// A driver hands a packet over.
    NetifRx<'a> "netif_rx" { skbaddr: Option<u64>, len: u64, name: Option<Text<'a>>, }
    /// A packet is dropped.
    KfreeSkb "kfree_skb" { skbaddr: Option<u64>, len: Option<u64>, location: Option<u64>, }
    /// Pages are allocated.
    MmPageAlloc "mm_page_alloc" { page: Option<u64>, order: u64, }
    /// Pages are freed.
    MmPageFree "mm_page_free" { page: Option<u64>, order: u64, }
    /// A page of a batch is freed.
    MmPageFreeBatched "mm_page_free_batched" { page: Option<u64>, }
    /// A page is read from swap.
    SwapIn "swap_in" { page: Option<u64>, }
    /// A page is written to swap.
    SwapOut "swap_out" { page: Option<u64>, }
    /// A page fault is dealt with.
    HandleMmFault "handle_mm_fault" { address: Option<u64>, flags: Option<u64>, }
    /// A line goes to the kernel's log.
    Printk<'a> "printk" { text: Text<'a>, }
    /// A program writes to the kernel's log.
    Marker<'a> "marker" { text: Text<'a>, }
    /// A module is in place.
    ModuleLoad<'a> "module_load" { name: Text<'a>, }
    /// A module goes away.
    ModuleFree<'a> "module_free" { name: Text<'a>, }
    /// The kernel asks user space for a module.
    ModuleRequest<'a> "module_request" { name: Text<'a>, wait: Option<bool>, }
    /// Initcalls of one level begin.
    InitcallLevel<'a> "initcall_level" { level: Text<'a>, }
    /// A function that sets up something begins.
    InitcallStart "initcall_start" { func: u64, }
    /// It ends.
    InitcallFinish "initcall_finish" { func: u64, ret: Option<i64>, }
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

impl SyscallEntry<'_> {
    /// The arguments, as far as they are known.
    #[must_use]
    pub fn args(&self) -> CallArgs {
        let Self {
            arg0,
            arg1,
            arg2,
            arg3,
            arg4,
            arg5,
            ..
        } = *self;
        [arg0, arg1, arg2, arg3, arg4, arg5]
    }
}

impl CompatSyscallEntry<'_> {
    /// The arguments, as far as they are known.
    #[must_use]
    pub fn args(&self) -> CallArgs {
        let Self {
            arg0,
            arg1,
            arg2,
            arg3,
            arg4,
            arg5,
            ..
        } = *self;
        [arg0, arg1, arg2, arg3, arg4, arg5]
    }
}
