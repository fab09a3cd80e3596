//! Process trees: which thread is of which process, told before its first event.

use std::collections::HashMap;

use trace_format::{EventId, Schema, Value};

use super::message::{push_message, push_number, push_text};
use crate::export::job::PerCpu;
use crate::export::meaning::{Meanings, place, small};
use crate::model::{Machine, Scheduling};
use crate::sources::Record;

/// What has been told of threads.
#[derive(Debug)]
pub(super) struct Threads {
    /// Processes by thread.
    told: HashMap<u32, u32>,
    telling: HashMap<EventId, Telling>,
    /// By CPU the context that was looked at last.
    generations: PerCpu<Option<u64>>,
}

/// Where an event tells of a thread.
#[derive(Clone, Copy, Debug)]
struct Telling {
    tid: Option<usize>,
    pid: Option<usize>,
    parent: Option<usize>,
    name: Option<usize>,
    /// Whether the thread leads a process that has the same number.
    leads: bool,
}

/// What is told of a thread.
struct Told<'a> {
    tid: u32,
    pid: u32,
    parent: Option<u32>,
    name: &'a [u8],
}

impl Threads {
    pub(super) fn new(schema: &Schema, meanings: &Meanings) -> Self {
        let mut telling = HashMap::new();
        for event in &schema.events {
            let alias = meanings.get(event.id);
            let field = |name| place(event, alias, name);
            let [tid, pid, parent, name] = match alias.map(|alias| alias.is.as_str()) {
                Some("sched_process_fork") => {
                    ["child_pid", "child_tgid", "parent_tgid", "child_comm"]
                }
                Some("task_state") => ["pid", "tgid", "ppid", "comm"],
                Some("sched_process_exec") => ["pid", "pid", "", "filename"],
                _ => continue,
            };
            let told = Telling {
                tid: field(tid),
                pid: field(pid),
                parent: field(parent),
                name: field(name),
                leads: tid == pid,
            };
            telling.insert(event.id, told);
        }
        Self {
            told: HashMap::new(),
            telling,
            generations: PerCpu::default(),
        }
    }

    /// The process tree that a record makes necessary: content of the message `ProcessTree`.
    #[inline]
    pub(super) fn see(&mut self, record: &Record<'_>) -> Option<Vec<u8>> {
        let context = record.context;
        let mut tree = Vec::new();
        let generation = self.generations.slot(record.cpu, || None);
        if *generation != Some(context.generation) {
            *generation = Some(context.generation);
            let (tid, pid) = (context.tid.0, context.pid.0);
            if tid != 0 && self.told.insert(tid, pid) != Some(pid) {
                let name = &context.comm;
                push_told(
                    &mut tree,
                    &Told {
                        tid,
                        pid,
                        parent: None,
                        name,
                    },
                );
            }
        }
        if let Some(telling) = self.telling.get(&record.event)
            && let Some(tid) = small(&record.fields, telling.tid)
        {
            let field = |place| small(&record.fields, place);
            // An exec makes its thread the leader of the process, which has had its number before.
            let pid = if telling.leads {
                Some(tid)
            } else {
                field(telling.pid)
            };
            let name = match telling.name.map(|place| record.fields.value(place)) {
                Some(Value::Bytes(name)) => name,
                _ => b"",
            };
            if let Some(pid) = pid {
                self.told.insert(tid, pid);
                let parent = field(telling.parent);
                push_told(
                    &mut tree,
                    &Told {
                        tid,
                        pid,
                        parent,
                        name,
                    },
                );
            }
        }
        (!tree.is_empty()).then_some(tree)
    }

    /// The process tree of a machine.
    pub(super) fn tree_of(&mut self, machine: &Machine) -> Option<Vec<u8>> {
        let mut tree = Vec::new();
        for (_, thread) in machine.threads().iter() {
            if thread.scheduling == Scheduling::Dead || thread.idle_of.is_some() {
                continue;
            }
            let parent = thread
                .parent
                .map(|parent| machine.threads()[parent].process().0);
            let (tid, pid) = (thread.tid.0, thread.process().0);
            let name = &thread.comm;
            self.told.insert(tid, pid);
            push_told(
                &mut tree,
                &Told {
                    tid,
                    pid,
                    parent,
                    name,
                },
            );
        }
        (!tree.is_empty()).then_some(tree)
    }
}

/// Appends a process, or a thread of one.
fn push_told(out: &mut Vec<u8>, told: &Told<'_>) {
    const PROCESSES: u32 = 1;
    const THREADS: u32 = 2;
    if told.tid == told.pid {
        push_message(out, PROCESSES, |out| {
            push_number(out, 1, u64::from(told.pid));
            if let Some(parent) = told.parent {
                push_number(out, 2, u64::from(parent));
            }
            if !told.name.is_empty() {
                push_text(out, 3, told.name);
            }
        });
    } else {
        push_message(out, THREADS, |out| {
            push_number(out, 1, u64::from(told.tid));
            if !told.name.is_empty() {
                push_text(out, 2, told.name);
            }
            push_number(out, 3, u64::from(told.pid));
        });
    }
}
