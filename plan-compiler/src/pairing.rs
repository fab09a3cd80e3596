//! What the plugin needs to pair returns with entries: who runs, what to keep, and where tasks end.

use guest_symbols::Kernel;
use guesttrace_events::{FieldType, Hook};
use probe_plan::{Entering, Expiry, Field, Op, Output, Pairing, Program};

use crate::expression::parse;
use crate::hook::resolve;
use crate::returns::Paired;
use crate::typed::{Compiler, Scope};

/// `arch/x86/include/asm/page_64_types.h`: `THREAD_SIZE`, to which stacks of tasks are aligned.
const STACK_BYTES: u64 = 16 << 10;
/// A program's stacks have any size, and coroutines have small ones side by side.
const USER_STACK_BYTES: u64 = 4 << 10;
/// Threads that are within a function at once, times its recursion; what is more is counted as lost.
const ENTRIES_MAX: u32 = 8192;

/// Tracepoints whose argument `p` is a task that does not return from anywhere any more: it ends, and it is forgotten.
const ENDS: [&str; 2] = ["sched_process_exit", "sched_process_free"];

/// How returns are paired whose programs are given; arguments that none of them uses are not kept.
pub(crate) fn pairing(
    kernel: &Kernel,
    paired: &Paired,
    programs: &mut [&mut Program],
) -> Option<Pairing> {
    let mut used: Vec<u8> = steps(programs)
        .filter_map(|step| match step {
            Op::Saved(index) => Some(*index),
            _ => None,
        })
        .collect();
    used.sort_unstable();
    used.dedup();
    for step in steps(programs) {
        if let Op::Saved(index) = step
            && let Ok(kept) = used.binary_search(index)
        {
            *index = u8::try_from(kept).unwrap_or(u8::MAX);
        }
    }
    let value = |index: &u8| {
        let argument = paired.arguments.get(usize::from(*index))?;
        Some(number(argument.ops.clone().ok()?))
    };
    Some(Pairing {
        task: program(kernel, "current", &Scope::default())?,
        entering: Entering {
            addr: paired.entry,
            program: Program {
                fields: used.iter().map(value).collect::<Option<_>>()?,
                ..Program::default()
            },
        },
        entries_max: ENTRIES_MAX,
        stack_bytes: if kernel.program().is_some() {
            USER_STACK_BYTES
        } else {
            STACK_BYTES
        },
    })
}

/// Where tasks end.
pub(crate) fn expiries(kernel: &Kernel) -> Vec<Expiry> {
    let tracepoint = |name: &&str| Hook::Tracepoint {
        system: "sched".to_owned(),
        name: (*name).to_owned(),
    };
    let sites = ENDS
        .iter()
        .filter_map(|name| resolve(kernel, &tracepoint(name)).ok())
        .flat_map(|resolved| resolved.sites);
    sites
        .filter_map(|site| {
            Some(Expiry {
                addr: site.addr,
                program: program(kernel, "p", &site.scope)?,
            })
        })
        .collect()
}

fn number(ops: Vec<Op>) -> Field {
    Field {
        ops,
        output: Output::Number,
    }
}

fn program(kernel: &Kernel, text: &str, scope: &Scope) -> Option<Program> {
    let mut compiler = Compiler::new(kernel, scope, &[]);
    let field = compiler.field(&parse(text).ok()?, &FieldType::Hex).ok()?;
    Some(Program {
        bindings: compiler.into_slots(),
        condition: None,
        fields: vec![field],
    })
}

/// Every step of the programs.
fn steps<'a>(programs: &'a mut [&mut Program]) -> impl Iterator<Item = &'a mut Op> {
    programs.iter_mut().flat_map(|program| {
        let fields = program.fields.iter_mut().map(|field| &mut field.ops);
        let parts = program.bindings.iter_mut().chain(&mut program.condition);
        parts.chain(fields).flatten()
    })
}
