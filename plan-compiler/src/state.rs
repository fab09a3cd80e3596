//! How what exists already is found when recording begins late: walks over the kernel's own lists.
//!
//! `include/linux/sched.h`: processes are linked by `task_struct.tasks` in a ring with `init_task`, the threads of each
//! by `thread_node` in a ring with `signal_struct.thread_head`; a process's open files are the table `files->fdt->fd`.
//! The same from 5.10 to 7.2.

use guest_symbols::Kernel;
use guesttrace_events::FieldType;
use probe_plan::{Program, Steps, Walk};
use trace_format::EventId;

use crate::expression::parse;
use crate::typed::{Compiler, Scope};

/// What a walk's rows ask for by `recorder:NAME`.
pub(crate) const THREAD: &str = "thread";
/// As above, for files.
pub(crate) const FILE: &str = "file";

/// More processes than any guest of ours has; a ring that was made endless ends there.
const PROCESSES_MAX: u32 = 32_768;
const THREADS_MAX: u32 = 32_768;
const FILES_MAX: u32 = 4096;

const NEXT_PROCESS: &str =
    "(u64)((struct task_struct *)TASK)->tasks.next - (u64)&((struct task_struct *)0)->tasks";
const FIRST_THREAD: &str = "(u64)((struct task_struct *)%rdi)->signal->thread_head.next - (u64)&((struct task_struct *)0)->thread_node";
const NEXT_THREAD: &str = "(u64)((struct task_struct *)%rdi)->thread_node.next - (u64)&((struct task_struct *)0)->thread_node";
const END_OF_THREADS: &str = "(u64)&((struct task_struct *)%rdi)->signal->thread_head - (u64)&((struct task_struct *)0)->thread_node";
const FILE_TABLE: &str = "(u64)((struct task_struct *)%rdi)->files->fdt->fd";
const FILE_COUNT: &str = "((struct task_struct *)%rdi)->files->fdt->max_fds";

/// A row that a walk records: event and program.
type Record = Option<(EventId, u32)>;

/// The walks that record those rows; none when the kernel's types do not have what it takes.
pub(crate) fn walks(kernel: &Kernel, thread: Record, file: Record) -> Vec<Walk> {
    if thread.is_none() && file.is_none() {
        return Vec::new();
    }
    let process = || {
        let mut inner = Vec::new();
        if let Some(record) = thread {
            inner.push(Walk {
                steps: Steps::List {
                    first: number(kernel, FIRST_THREAD)?,
                    next: number(kernel, NEXT_THREAD)?,
                    end: number(kernel, END_OF_THREADS)?,
                },
                items_max: THREADS_MAX,
                record: Some(record),
                inner: Vec::new(),
            });
        }
        if let Some(record) = file {
            inner.push(Walk {
                steps: Steps::Table {
                    base: number(kernel, FILE_TABLE)?,
                    count: number(kernel, FILE_COUNT)?,
                },
                items_max: FILES_MAX,
                record: Some(record),
                inner: Vec::new(),
            });
        }
        Some(Walk {
            steps: Steps::List {
                first: number(kernel, &NEXT_PROCESS.replace("TASK", "&init_task"))?,
                next: number(kernel, &NEXT_PROCESS.replace("TASK", "%rdi"))?,
                end: number(kernel, "(u64)&init_task")?,
            },
            items_max: PROCESSES_MAX,
            record: None,
            inner,
        })
    };
    process().into_iter().collect()
}

/// A program of one number.
fn number(kernel: &Kernel, text: &str) -> Option<Program> {
    let scope = Scope::default();
    let mut compiler = Compiler::new(kernel, &scope, &[]);
    let field = compiler.field(&parse(text).ok()?, &FieldType::Hex).ok()?;
    Some(Program {
        bindings: compiler.into_slots(),
        condition: None,
        fields: vec![field],
    })
}
