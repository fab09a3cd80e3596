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

/// Something that is known of the running thread.
pub(crate) struct ThreadContext {
    pub(crate) name: &'static str,
    pub(crate) fetch: &'static str,
    pub(crate) field_type: FieldType,
    pub(crate) doc: &'static str,
}

const fn number(name: &'static str, fetch: &'static str, doc: &'static str) -> ThreadContext {
    ThreadContext {
        name,
        fetch,
        field_type: FieldType::Unsigned,
        doc,
    }
}

/// How many of [`CONTEXTS`] a filter can ask for: names of `guesttrace_filter::Context::RECORDING`.
const FILTER_CONTEXTS: usize = 7;

/// What is known of the running thread.
///
/// `signal->pids` is indexed by `enum pid_type`, `include/linux/pid_types.h`: 2 the process group, 3 the session; since
/// 4.19. The cgroup is that of the unified hierarchy. A namespace has the number that `/proc/PID/ns` shows; a thread that
/// ends has left all but the user's and its own process numbers'.
pub(crate) static CONTEXTS: [ThreadContext; 14] = [
    number(
        "uid",
        "current->cred->uid.val",
        "user of the running thread",
    ),
    number(
        "gid",
        "current->cred->gid.val",
        "group of the running thread",
    ),
    number(
        "ppid",
        "current->real_parent->tgid",
        "parent of the running process",
    ),
    number(
        "pgrp",
        "current->signal->pids[2]->numbers[0].nr",
        "process group of the running process",
    ),
    number(
        "sid",
        "current->signal->pids[3]->numbers[0].nr",
        "session of the running process",
    ),
    ThreadContext {
        name: "cgroup",
        fetch: "string(kernel, current->cgroups->dfl_cgrp->kn->name)",
        field_type: FieldType::Text,
        doc: "last part of the path of the running thread's cgroup; empty for the root",
    },
    number(
        "cgroup_id",
        "current->cgroups->dfl_cgrp->kn->id",
        "cgroup of the running thread: the inode of its directory",
    ),
    number(
        "pid_ns",
        "current->thread_pid->numbers[current->thread_pid->level].ns->ns.inum",
        "process number namespace of the running thread",
    ),
    number(
        "mnt_ns",
        "current->nsproxy->mnt_ns->ns.inum",
        "mount namespace of the running thread",
    ),
    number(
        "net_ns",
        "current->nsproxy->net_ns->ns.inum",
        "network namespace of the running thread",
    ),
    number(
        "user_ns",
        "current->cred->user_ns->ns.inum",
        "user namespace of the running thread",
    ),
    number(
        "uts_ns",
        "current->nsproxy->uts_ns->ns.inum",
        "host name namespace of the running thread",
    ),
    number(
        "ipc_ns",
        "current->nsproxy->ipc_ns->ns.inum",
        "System V IPC namespace of the running thread",
    ),
    number(
        "cgroup_ns",
        "current->nsproxy->cgroup_ns->ns.inum",
        "cgroup namespace of the running thread",
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
    CONTEXTS[..FILTER_CONTEXTS]
        .iter()
        .filter_map(|context| {
            Some(ContextProgram {
                name: context.name.to_owned(),
                program: program(context.fetch, &context.field_type)?,
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
