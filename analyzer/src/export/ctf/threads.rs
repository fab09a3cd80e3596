//! Which threads there are, for readers that know only what the events say: a thread that none has told of is told of
//! before its first event, in the manner of LTTng's state dumps.

use std::collections::HashMap;

use trace_format::{EventId, Schema, Value};

use super::class::{Class, Member, MemberKind};
use super::layout::{Classes, present, push_value, status};
use super::names::STATEDUMP;
use crate::export::job::{ExportError, PerCpu};
use crate::export::meaning::{Meanings, place, small};
use crate::model::{Machine, Scheduling, Thread};
use crate::sources::Record;

/// What has been told of threads.
#[derive(Debug)]
pub(super) struct Threads {
    /// Processes by thread.
    told: HashMap<u32, u32>,
    /// Where an event tells of a thread: its number, that of its process.
    telling: HashMap<EventId, [Option<usize>; 2]>,
    /// By CPU the context that was looked at last.
    generations: PerCpu<Option<u64>>,
    /// Threads that there are where the export begins.
    initial: Vec<StateOfThread>,
    ids: [Option<u16>; 2],
}

/// What is said of a thread.
#[derive(Clone, Debug)]
pub(super) struct StateOfThread {
    tid: u32,
    pid: u32,
    ppid: Option<u32>,
    name: Vec<u8>,
    status: u64,
}

impl Threads {
    pub(super) fn new(schema: &Schema, meanings: &Meanings, machine: Option<&Machine>) -> Self {
        let mut telling = HashMap::new();
        for event in &schema.events {
            let alias = meanings.get(event.id);
            let fields = match alias.map(|alias| alias.is.as_str()) {
                Some("sched_process_fork") => ["child_pid", "child_tgid"],
                Some("task_state") => ["pid", "tgid"],
                _ => continue,
            };
            telling.insert(event.id, fields.map(|field| place(event, alias, field)));
        }
        let initial = machine.map_or_else(Vec::new, |machine| {
            let threads = machine.threads().iter();
            let states = threads.filter_map(|(_, thread)| StateOfThread::of(machine, thread));
            states.collect()
        });
        Self {
            told: HashMap::new(),
            telling,
            generations: PerCpu::default(),
            initial,
            ids: [None; 2],
        }
    }

    /// What has to be told before a record.
    #[inline]
    pub(super) fn untold(&mut self, record: &Record<'_>) -> Vec<StateOfThread> {
        let mut states = std::mem::take(&mut self.initial);
        for state in &states {
            self.told.insert(state.tid, state.pid);
        }
        let context = record.context;
        let generation = self.generations.slot(record.cpu, || None);
        if *generation != Some(context.generation) {
            *generation = Some(context.generation);
            let (tid, pid) = (context.tid.0, context.pid.0);
            if tid != 0 && self.told.insert(tid, pid) != Some(pid) {
                states.push(StateOfThread {
                    tid,
                    pid,
                    ppid: None,
                    name: context.comm.clone(),
                    status: status::RUN,
                });
            }
        }
        if let Some(places) = self.telling.get(&record.event)
            && let [Some(tid), Some(pid)] = places.map(|place| small(&record.fields, place))
        {
            self.told.insert(tid, pid);
        }
        states
    }

    /// Appends what is said of a thread; its class.
    pub(super) fn write(
        &mut self,
        state: &StateOfThread,
        classes: &mut Classes,
        out: &mut Vec<u8>,
    ) -> Result<u16, ExportError> {
        let members = members();
        let number = |number: u32| Value::Number(u64::from(number));
        let values = [
            number(state.tid),
            number(state.pid),
            state.ppid.map_or(Value::Missing, number),
            Value::Bytes(&state.name),
            Value::Number(state.status),
        ];
        let mut missing = 0_u64;
        for (index, (member, value)) in members.iter().zip(values).enumerate() {
            if !push_value(out, &member.kind, value) {
                missing |= 1 << index;
            }
        }
        let id = &mut self.ids[usize::from(missing != 0)];
        if let Some(id) = *id {
            return Ok(id);
        }
        let class = Class {
            name: STATEDUMP.to_owned(),
            members: present(&members, missing),
        };
        Ok(*id.insert(classes.add(class)?))
    }
}

fn members() -> Vec<Member> {
    let member = |(name, kind): (&str, MemberKind)| Member {
        name: name.to_owned(),
        kind,
    };
    let members = [
        ("tid", MemberKind::Unsigned),
        ("pid", MemberKind::Unsigned),
        ("ppid", MemberKind::Unsigned),
        ("name", MemberKind::Text),
        ("status", MemberKind::Unsigned),
    ];
    members.map(member).to_vec()
}

impl StateOfThread {
    /// What is known of a thread of the model; nothing of one that has ended, or is idle.
    fn of(machine: &Machine, thread: &Thread) -> Option<Self> {
        let status = match thread.scheduling {
            Scheduling::Dead => return None,
            _ if thread.idle_of.is_some() => return None,
            Scheduling::Running(_) => status::RUN,
            Scheduling::Runnable => status::WAIT_CPU,
            Scheduling::Blocked(_) => status::WAIT,
            Scheduling::Unknown => status::UNKNOWN,
        };
        let parent = thread.parent.map(|parent| &machine.threads()[parent]);
        Some(Self {
            tid: thread.tid.0,
            pid: thread.process().0,
            ppid: parent.map(|parent| parent.process().0),
            name: thread.comm.clone(),
            status,
        })
    }
}
