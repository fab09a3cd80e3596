//! Which of the model's events are which messages of Perfetto's schema, and the numbers of their fields
//! (`protos/perfetto/trace/ftrace/*.proto`).

/// An event that Perfetto has a message for.
#[derive(Clone, Copy, Debug)]
pub(super) struct FtraceEvent {
    /// The model's name, or ours where the model does not know the event.
    pub(super) event: &'static str,
    /// Number of the field of `FtraceEvent`.
    pub(super) number: u32,
    /// Its fields.
    pub(super) fields: &'static [FtraceField],
}

/// A field of such an event: our name, its number, what it is.
pub(super) type FtraceField = (&'static str, u32, FieldType);

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldType {
    /// A number of any length and sign.
    Number,
    /// A number of 32 bits without a sign.
    Low,
    /// Text.
    Text,
    /// Operation of a block request, as letters.
    Letters,
}

use FieldType::{Letters, Low, Number, Text};

const WAKE: &[FtraceField] = &[
    ("comm", 1, Text),
    ("pid", 2, Number),
    ("prio", 3, Number),
    ("target_cpu", 5, Number),
];
const LIFE: &[FtraceField] = &[("comm", 1, Text), ("pid", 2, Number), ("prio", 3, Number)];
const VEC: &[FtraceField] = &[("vec", 1, Number)];
const WORK: &[FtraceField] = &[("work", 1, Number), ("function", 2, Number)];
const REQUEST: &[FtraceField] = &[
    ("dev", 1, Number),
    ("sector", 2, Number),
    ("nr_sector", 3, Low),
    ("bytes", 4, Low),
    ("op", 5, Letters),
];

/// The table.
pub(super) const EVENTS: &[FtraceEvent] = &[
    event(
        "sched_switch",
        4,
        &[
            ("prev_comm", 1, Text),
            ("prev_pid", 2, Number),
            ("prev_prio", 3, Number),
            ("prev_state", 4, Number),
            ("next_comm", 5, Text),
            ("next_pid", 6, Number),
            ("next_prio", 7, Number),
        ],
    ),
    event("cpu_idle", 13, &[("state", 1, Low), ("cpu", 2, Low)]),
    event("sched_wakeup", 17, WAKE),
    event("sched_waking", 20, WAKE),
    event("sched_wakeup_new", 114, WAKE),
    event("softirq_entry", 24, VEC),
    event("softirq_exit", 25, VEC),
    event("softirq_raise", 26, VEC),
    event(
        "irq_handler_entry",
        36,
        &[("irq", 1, Number), ("name", 2, Text)],
    ),
    event(
        "irq_handler_exit",
        37,
        &[("irq", 1, Number), ("ret", 2, Number)],
    ),
    event("block_rq_issue", 45, REQUEST),
    event("block_rq_insert", 126, REQUEST),
    event(
        "block_rq_complete",
        125,
        &[
            ("dev", 1, Number),
            ("sector", 2, Number),
            ("nr_sector", 3, Low),
            ("error", 4, Number),
            ("op", 5, Letters),
        ],
    ),
    event(
        "block_rq_requeue",
        129,
        &[
            ("dev", 1, Number),
            ("sector", 2, Number),
            ("nr_sector", 3, Low),
            ("op", 5, Letters),
        ],
    ),
    event("workqueue_execute_end", 57, WORK),
    event("workqueue_execute_start", 58, WORK),
    event(
        "workqueue_queue_work",
        59,
        &[
            ("work", 1, Number),
            ("function", 2, Number),
            ("workqueue", 3, Text),
            ("req_cpu", 4, Number),
            ("cpu", 5, Number),
        ],
    ),
    event(
        "task_newtask",
        235,
        &[
            ("pid", 1, Number),
            ("comm", 2, Text),
            ("clone_flags", 3, Number),
            ("oom_score_adj", 4, Number),
        ],
    ),
    event(
        "task_rename",
        236,
        &[
            ("pid", 1, Number),
            ("oldcomm", 2, Text),
            ("newcomm", 3, Text),
        ],
    ),
    event(
        "sched_process_exec",
        237,
        &[
            ("filename", 1, Text),
            ("pid", 2, Number),
            ("old_pid", 3, Number),
        ],
    ),
    event(
        "sched_process_exit",
        238,
        &[
            ("comm", 1, Text),
            ("pid", 2, Number),
            ("tgid", 3, Number),
            ("prio", 4, Number),
        ],
    ),
    event(
        "sched_process_fork",
        239,
        &[
            ("parent_comm", 1, Text),
            ("parent_pid", 2, Number),
            ("child_comm", 3, Text),
            ("child_pid", 4, Number),
        ],
    ),
    event("sched_process_free", 240, LIFE),
    event("sched_process_wait", 242, LIFE),
    event(
        "signal_deliver",
        324,
        &[
            ("code", 1, Number),
            ("sa_flags", 2, Number),
            ("sig", 3, Number),
        ],
    ),
    event(
        "signal_generate",
        325,
        &[
            ("code", 1, Number),
            ("comm", 2, Text),
            ("group", 3, Number),
            ("pid", 4, Number),
            ("result", 5, Number),
            ("sig", 6, Number),
        ],
    ),
    event("syscall_entry", SYS_ENTER, &[("nr", 1, Number)]),
    event(
        "syscall_exit",
        SYS_EXIT,
        &[("nr", 1, Number), ("ret", 2, Number)],
    ),
    event(
        "netif_receive_skb",
        360,
        &[("len", 1, Low), ("name", 2, Text), ("skbaddr", 3, Number)],
    ),
];

/// Numbers of the messages of system calls.
pub(super) const SYS_ENTER: u32 = 329;
pub(super) const SYS_EXIT: u32 = 330;
/// Number of the message for events that have none of their own.
pub(super) const GENERIC: u32 = 327;

const fn event(event: &'static str, number: u32, fields: &'static [FtraceField]) -> FtraceEvent {
    FtraceEvent {
        event,
        number,
        fields,
    }
}

/// What Perfetto has for an event.
pub(super) fn ftrace_event(name: &str) -> Option<FtraceEvent> {
    EVENTS.iter().find(|event| event.event == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_and_name_is_there_once() {
        let mut names: Vec<&str> = EVENTS.iter().map(|event| event.event).collect();
        let mut numbers: Vec<u32> = EVENTS.iter().map(|event| event.number).collect();
        names.sort_unstable();
        names.dedup();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!((names.len(), numbers.len()), (EVENTS.len(), EVENTS.len()));
    }
}
