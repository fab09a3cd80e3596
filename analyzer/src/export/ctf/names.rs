//! What LTTng calls the events and fields of the model: by these names Trace Compass and other programs know them.
//!
//! The names are those of lttng-modules from 2.9 on (`instrumentation/events`). Fields that are not named here keep
//! their names, and so do all other events.

/// What LTTng calls an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct LttngEvent {
    /// The model's name.
    pub(super) model: &'static str,
    /// LTTng's name.
    pub(super) name: &'static str,
    /// Names of fields, ours and LTTng's, where they differ.
    pub(super) fields: &'static [(&'static str, &'static str)],
}

const TID: &[(&str, &str)] = &[("pid", "tid")];

const EVENTS: &[LttngEvent] = &[
    event(
        "sched_switch",
        "sched_switch",
        &[("prev_pid", "prev_tid"), ("next_pid", "next_tid")],
    ),
    event("sched_waking", "sched_waking", TID),
    event("sched_wakeup", "sched_wakeup", TID),
    event("sched_wakeup_new", "sched_wakeup_new", TID),
    event("sched_migrate_task", "sched_migrate_task", TID),
    event(
        "sched_process_fork",
        "sched_process_fork",
        &[
            ("parent_pid", "parent_tid"),
            ("parent_tgid", "parent_pid"),
            ("child_pid", "child_tid"),
            ("child_tgid", "child_pid"),
        ],
    ),
    event(
        "sched_process_exec",
        "sched_process_exec",
        &[("pid", "tid"), ("old_pid", "old_tid")],
    ),
    event("sched_process_exit", "sched_process_exit", TID),
    event("sched_process_free", "sched_process_free", TID),
    event("sched_process_wait", "sched_process_wait", TID),
    event(
        STATE_OF_THREAD,
        STATEDUMP,
        &[("pid", "tid"), ("tgid", "pid"), ("comm", "name")],
    ),
    event("softirq_raise", "irq_softirq_raise", &[]),
    event("softirq_entry", "irq_softirq_entry", &[]),
    event("softirq_exit", "irq_softirq_exit", &[]),
    event("hrtimer_start", "timer_hrtimer_start", &[]),
    event("hrtimer_cancel", "timer_hrtimer_cancel", &[]),
    event("hrtimer_expire_entry", "timer_hrtimer_expire_entry", &[]),
    event("hrtimer_expire_exit", "timer_hrtimer_expire_exit", &[]),
    event("mm_page_alloc", "kmem_mm_page_alloc", &[]),
    event("mm_page_free", "kmem_mm_page_free", &[]),
    event("netif_receive_skb", "net_if_receive_skb", &[]),
    event("cpu_idle", "power_cpu_idle", &[("cpu", "cpu_id")]),
    event("printk", "printk_console", &[("text", "msg")]),
];

/// The model's event of a thread that exists when recording begins.
pub(super) const STATE_OF_THREAD: &str = "task_state";
/// What LTTng calls it.
pub(super) const STATEDUMP: &str = "lttng_statedump_process_state";

/// System calls are an event for each call: what stands before its name.
const CALLS: &[(&str, &str)] = &[
    ("syscall_entry", "syscall_entry_"),
    ("syscall_exit", "syscall_exit_"),
    ("compat_syscall_entry", "compat_syscall_entry_"),
    ("compat_syscall_exit", "compat_syscall_exit_"),
];

const fn event(
    model: &'static str,
    name: &'static str,
    fields: &'static [(&'static str, &'static str)],
) -> LttngEvent {
    LttngEvent {
        model,
        name,
        fields,
    }
}

/// What LTTng calls an event of the model, where it has another name or other fields.
pub(super) fn lttng_event(model: &str) -> Option<LttngEvent> {
    EVENTS.iter().find(|event| event.model == model).copied()
}

/// What stands before the name of a call in the name of the event.
pub(super) fn call_prefix(model: &str) -> Option<&'static str> {
    let mut calls = CALLS.iter();
    calls
        .find(|(name, _)| *name == model)
        .map(|(_, prefix)| *prefix)
}
