//! What a recording asks of threads besides events: which event says what runs, what a filter may ask of the running
//! thread, where processes come into being.

use guest_symbols::Kernel;
use guesttrace_events::{EventRow, EventTable, FieldType};
use probe_plan::{Birth, ContextProgram, Program, ThreadEvent};
use trace_format::EventId;

use crate::expression::parse;
use crate::site::compile_site;
use crate::typed::{Compiler, Scope};

/// The event by which readers follow the running thread.
const THREAD_EVENT: &str = "thread_context";
/// `kernel/sched/core.c`, `init_idle`: `INIT_TASK_COMM "/%d"`.
const IDLE_PREFIX: &str = "swapper/";

/// What can be asked of the running thread, and how: names of `guesttrace_filter::Context::RECORDING`.
///
/// `signal->pids` is indexed by `enum pid_type`, `include/linux/pid_types.h`: 2 the process group, 3 the session; since
/// 4.19. The cgroup is that of the unified hierarchy.
const CONTEXTS: [(&str, &str, FieldType); 7] = [
    ("uid", "current->cred->uid.val", FieldType::Unsigned),
    ("gid", "current->cred->gid.val", FieldType::Unsigned),
    ("ppid", "current->real_parent->tgid", FieldType::Unsigned),
    (
        "pgrp",
        "current->signal->pids[2]->numbers[0].nr",
        FieldType::Unsigned,
    ),
    (
        "sid",
        "current->signal->pids[3]->numbers[0].nr",
        FieldType::Unsigned,
    ),
    (
        "cgroup",
        "string(kernel, current->cgroups->dfl_cgrp->kn->name)",
        FieldType::Text,
    ),
    (
        "cgroup_id",
        "current->cgroups->dfl_cgrp->kn->id",
        FieldType::Unsigned,
    ),
];

/// The event that tells of a birth, and its fields with the processes' numbers.
const BIRTH_EVENT: &str = "sched_process_fork";
const BIRTH_FIELDS: [&str; 2] = ["parent_tgid", "child_tgid"];

/// Which event says what thread runs.
pub(crate) fn thread_event(table: &EventTable) -> Option<ThreadEvent> {
    let row = row(table, THREAD_EVENT)?;
    let field = |name| {
        let index = row.fields.iter().position(|field| field.name == name)?;
        u8::try_from(index).ok()
    };
    Some(ThreadEvent {
        event: EventId(row.id),
        tid: field("tid")?,
        pid: field("pid")?,
        comm: field("comm")?,
        idle_prefix: IDLE_PREFIX.to_owned(),
    })
}

/// Programs for what a filter may ask; what this kernel's types do not have is left out.
pub(crate) fn contexts(kernel: &Kernel) -> Vec<ContextProgram> {
    let scope = Scope::default();
    let program = |text: &str, field_type: &FieldType| {
        let mut compiler = Compiler::new(kernel, &scope, &[]);
        let field = compiler.field(&parse(text).ok()?, field_type).ok()?;
        Some(Program {
            bindings: compiler.into_slots(),
            condition: None,
            fields: vec![field],
        })
    };
    CONTEXTS
        .iter()
        .filter_map(|(name, text, field_type)| {
            Some(ContextProgram {
                name: (*name).to_owned(),
                program: program(text, field_type)?,
            })
        })
        .collect()
}

/// Where processes come into being; nothing where the kernel does not have it.
pub(crate) fn births(kernel: &Kernel, table: &EventTable) -> Vec<Birth> {
    let Some(row) = row(table, BIRTH_EVENT) else {
        return Vec::new();
    };
    let mut births = Vec::new();
    for (index, site) in row.sites.iter().enumerate() {
        let Ok(compiled) = compile_site(kernel, row, index, site) else {
            continue;
        };
        births.extend(compiled.probes.into_iter().filter_map(|probe| {
            let mut program = probe.program;
            program.fields = BIRTH_FIELDS
                .iter()
                .map(|name| {
                    let index = row.fields.iter().position(|field| field.name == *name)?;
                    program.fields.get(index).cloned()
                })
                .collect::<Option<_>>()?;
            let addr = probe.addr;
            Some(Birth { addr, program })
        }));
    }
    births
}

fn row<'a>(table: &'a EventTable, name: &str) -> Option<&'a EventRow> {
    table.events().iter().find(|row| row.name == name)
}
