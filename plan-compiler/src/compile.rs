//! Puts the plan together.

use std::borrow::Cow;
use std::sync::Arc;

use guest_symbols::{Kernel, SymbolError};
use guesttrace_events::{EndRow, EventRow, EventTable, SiteRow, Source};
use probe_plan::{
    EndReason, Hook, ImageSegment, LinkAddr, Output, Pairing, Plan, PlanError, Program, Site,
    SymbolName, Unwind,
};
use trace_format::{AbsentEvent, EventId, KernelInfo, SchemaError};

use crate::expression::parse;
use crate::fault::RowFault;
use crate::hook::HookProblem;
use crate::modules::{module_hooks, module_plans};
use crate::own::tracepoint_rows;
use crate::pairing::expiries;
use crate::schema::schema;
use crate::selection::{Selection, UnknownEvent};
use crate::site::{Probe, Resolution, compile_site};
use crate::state::{FILE, THREAD, walks};
use crate::thread::{births, contexts, thread_event};
use crate::typed::{Compiler, Scope};
use crate::unwind::unwind;
use crate::user::user_space;

/// A plan, and how it came to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The plan; its schema has the events that were found in the kernel.
    pub plan: Plan,
    /// Every site of every selected event.
    pub resolutions: Vec<Resolution>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The selection names what does not exist.
    #[error(transparent)]
    Selection(#[from] UnknownEvent),
    /// The kernel's tracepoints cannot be read.
    #[error(transparent)]
    Tracepoints {
        /// Why.
        source: HookProblem,
    },
    /// Stacks are wanted, and cannot be followed in this kernel.
    #[error("stacks of this kernel cannot be followed: {0}")]
    Stacks(#[from] SymbolError),
    /// A module does not say what its tracepoints pass.
    #[error(
        "tracepoint {event} cannot be recorded: module {module} has no types (BTF), which modules have since Linux 5.11\n\
         hint: watch the module's functions instead, as --probe 'FUNCTION first=%rdi'"
    )]
    ModuleWithoutTypes {
        /// The module.
        module: String,
        /// The tracepoint.
        event: String,
    },
    /// A row is wrong, or is one of the user's own and cannot be found in the kernel.
    #[error(transparent)]
    Row(#[from] Box<RowFault>),
    /// The programs break a rule: too long, or too many values at once.
    #[error("the plan for {events} events cannot be run")]
    Plan {
        /// How many.
        events: usize,
        /// The rule.
        #[source]
        source: PlanError,
    },
    /// The schema breaks a rule.
    #[error("the schema of the trace is wrong")]
    Schema(#[from] SchemaError),
}

/// Compiles the selected rows of the table for a kernel.
///
/// An event that the kernel does not have is no error: the resolutions tell.
///
/// # Errors
/// When the selection or the table is wrong.
pub fn compile(
    kernel: &Kernel,
    table: &EventTable,
    selection: &Selection,
) -> Result<Compiled, CompileError> {
    let made = tracepoint_rows(kernel, selection)?;
    let rows = with_additions(kernel, selection.rows(table)?, &made, selection)?;
    let is_named = |id: u16| made.iter().any(|(row, is_named)| row.id == id && *is_named);
    let mut draft = Draft::default();
    let mut found: Vec<&EventRow> = Vec::new();
    for row in &rows {
        let is_required = row.source != Source::Builtin || is_named(row.id);
        match draft.add_row(kernel, row)? {
            Ok(()) => found.push(row.as_ref()),
            // Of what the user asked for by name, nothing must be missing silently.
            Err(Some(fault)) if is_required => return Err(Box::new(fault).into()),
            Err(_) => draft.note_absent(&row.name),
        }
    }
    // At one address, the thread that runs from now on comes last: the events there still belong to the one before.
    let sticky: Vec<u16> = rows
        .iter()
        .filter(|row| row.sticky)
        .map(|row| row.id)
        .collect();
    let is_sticky = |id: EventId| sticky.contains(&id.0);
    draft
        .sites
        .sort_by_key(|site| (site.addr, is_sticky(site.event), site.event, site.program));
    let unwind = stacks(kernel, &draft.programs).map(Arc::new);
    let user_space = user_space(kernel, &draft.sites, &draft.pairings);
    let plan = Plan {
        modules: module_plans(kernel, &draft.sites, &draft.programs),
        module_hooks: module_hooks(kernel),
        kernel: kernel_info(kernel),
        schema: schema(kernel, table, &found),
        programs: draft.programs,
        hooks: draft.hooks,
        absent: draft.absent,
        sites: draft.sites,
        image: image(kernel),
        loaded: loaded(kernel),
        direct_map_base: direct_map_base(kernel),
        symbols: symbols(kernel),
        thread: thread_event(table),
        contexts: contexts(kernel),
        births: births(kernel, table),
        unwind,
        walks: walks(kernel, draft.thread, draft.file),
        expiries: match draft.pairings.as_slice() {
            [] => Vec::new(),
            _ => expiries(kernel),
        },
        pairings: draft.pairings,
        ..user_space
    };
    plan.schema.check()?;
    plan.validate().map_err(|source| CompileError::Plan {
        events: found.len(),
        source,
    })?;
    Ok(Compiled {
        plan,
        resolutions: draft.resolutions,
    })
}

/// The rows to compile, with what is recorded besides their own fields.
fn with_additions<'a>(
    kernel: &Kernel,
    rows: Vec<&'a EventRow>,
    made: &'a [(EventRow, bool)],
    selection: &Selection,
) -> Result<Vec<Cow<'a, EventRow>>, CompileError> {
    let made = made.iter().map(|(row, _)| row);
    let mut rows: Vec<_> = rows.into_iter().chain(made).map(Cow::Borrowed).collect();
    for choice in selection.additions() {
        // Said once, and not as the reason of each event that it is not there.
        if choice.has_kernel() {
            kernel.orc()?;
        }
        choice.apply(&mut rows)?;
    }
    Ok(rows)
}

/// How call stacks are climbed, if any program does.
fn stacks(kernel: &Kernel, programs: &[Program]) -> Option<Unwind> {
    let mut fields = programs.iter().flat_map(|program| &program.fields);
    let climbs = fields.any(|field| matches!(field.output, Output::CallStack { .. }));
    climbs.then(|| unwind(kernel)).flatten()
}

#[derive(Default)]
struct Draft {
    programs: Vec<Program>,
    hooks: Vec<Hook>,
    absent: Vec<AbsentEvent>,
    sites: Vec<Site>,
    pairings: Vec<Pairing>,
    resolutions: Vec<Resolution>,
    /// What a walk records of each thread and of each open file.
    thread: Option<(EventId, u32)>,
    file: Option<(EventId, u32)>,
}

/// What the recorder makes records of, at a site that is no place in the kernel.
fn recorder_item(site: &SiteRow) -> Option<&str> {
    match site.hooks.first()? {
        guesttrace_events::Hook::Recorder { what } => Some(what),
        _ => None,
    }
}

impl Draft {
    /// Notes an event that has no place, with what became of its candidates: each reason once.
    fn note_absent(&mut self, event: &str) {
        let mut reasons: Vec<&str> = Vec::new();
        let mine = self.resolutions.iter().filter(|one| one.event == event);
        for (_, outcome) in mine.flat_map(|one| &one.candidates) {
            if let Err(reason) = outcome
                && !reasons.contains(&reason.as_str())
            {
                reasons.push(reason);
            }
        }
        self.absent.push(AbsentEvent {
            event: event.to_owned(),
            reason: reasons.join("; "),
        });
    }

    /// Adds what the kernel has of a row; without anything, the reason if there is one that tells more than its hooks.
    fn add_row(
        &mut self,
        kernel: &Kernel,
        row: &EventRow,
    ) -> Result<Result<(), Option<RowFault>>, CompileError> {
        let before = self.sites.len();
        let mut first_fault = None;
        let mut is_made = false;
        for (index, site) in row.sites.iter().enumerate() {
            let compiled = compile_site(kernel, row, index, site)?;
            first_fault = first_fault.or(compiled.fault);
            match recorder_item(site) {
                Some(item) => is_made |= self.add_item(row, item, compiled.probes),
                None => self.add(row, &compiled.resolution, compiled.probes, compiled.pairing),
            }
            self.resolutions.push(compiled.resolution);
        }
        if self.sites.len() > before || is_made {
            Ok(Ok(()))
        } else {
            Ok(Err(first_fault))
        }
    }

    /// Adds a row that the recorder makes. Returns whether the kernel has what it takes.
    fn add_item(&mut self, row: &EventRow, item: &str, probes: Vec<Probe>) -> bool {
        let Some(Probe { program, .. }) = probes.into_iter().next() else {
            return false;
        };
        let program = index_of(&mut self.programs, program);
        let record = Some((EventId(row.id), program));
        match item {
            THREAD => self.thread = record,
            FILE => self.file = record,
            // Its one text comes from the recorder.
            _ => {}
        }
        true
    }

    fn add(
        &mut self,
        row: &EventRow,
        resolution: &Resolution,
        probes: Vec<Probe>,
        pairing: Option<Pairing>,
    ) {
        let Some((hook, _)) = resolution
            .chosen
            .and_then(|index| resolution.candidates.get(index))
        else {
            return;
        };
        let hook = index_of(
            &mut self.hooks,
            Hook {
                event: row.name.clone(),
                hook: hook.clone(),
            },
        );
        // Never shared: what one event keeps must not depend on another.
        let pairing = pairing.and_then(|pairing| {
            self.pairings.push(pairing);
            u32::try_from(self.pairings.len() - 1).ok()
        });
        for Probe { addr, program } in probes {
            let program = index_of(&mut self.programs, program);
            let end = row.end.map(end_reason);
            self.sites.push(Site {
                addr,
                event: EventId(row.id),
                program,
                hook,
                pairing,
                end,
            });
        }
    }
}

/// Position of the item, which is added when it is new.
fn index_of<T: PartialEq>(items: &mut Vec<T>, item: T) -> u32 {
    let index = items
        .iter()
        .position(|known| *known == item)
        .unwrap_or_else(|| {
            items.push(item);
            items.len() - 1
        });
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn end_reason(end: EndRow) -> EndReason {
    match end {
        EndRow::PowerOff => EndReason::PowerOff,
        EndRow::Restart => EndReason::Restart,
        EndRow::Halt => EndReason::Halt,
        EndRow::Panic => EndReason::Panic,
    }
}

fn kernel_info(kernel: &Kernel) -> KernelInfo {
    let identity = kernel.identity();
    KernelInfo {
        release: identity.release.clone(),
        banner: identity.banner.clone(),
        build_id: identity.build_id.clone(),
        ..KernelInfo::default()
    }
}

fn image(kernel: &Kernel) -> Vec<ImageSegment> {
    let segments = kernel.code().map(|(addr, bytes)| ImageSegment {
        addr: LinkAddr(addr.0),
        bytes: bytes.to_vec(),
    });
    let mut segments: Vec<_> = segments.collect();
    segments.sort_by_key(|segment| segment.addr);
    segments
}

/// `arch/x86/kernel/vmlinux.lds.S`: the symbols around everything, `.bss` included.
fn loaded(kernel: &Kernel) -> Option<(LinkAddr, LinkAddr)> {
    let address = |name| kernel.symbols().address(name).map(|addr| LinkAddr(addr.0));
    Some((address("_text")?, address("_end")?))
}

/// `arch/x86/include/asm/page_64_types.h`: a variable, since the base is randomised; the kernels of the matrix have it.
fn direct_map_base(kernel: &Kernel) -> Option<Program> {
    let scope = Scope::default();
    let mut compiler = Compiler::new(kernel, &scope, &[]);
    let field = compiler
        .field(
            &parse("page_offset_base").ok()?,
            &guesttrace_events::FieldType::Hex,
        )
        .ok()?;
    Some(Program {
        bindings: Vec::new(),
        condition: None,
        fields: vec![field],
    })
}

/// Names of functions; of several for one address, the first.
fn symbols(kernel: &Kernel) -> Vec<SymbolName> {
    let code = kernel
        .symbols()
        .iter()
        .filter(|symbol| matches!(symbol.kind, 't' | 'T' | 'w' | 'W'));
    let mut names: Vec<_> = code
        .map(|symbol| SymbolName {
            addr: LinkAddr(symbol.addr.0),
            name: symbol.name.to_owned(),
        })
        .collect();
    names.sort_by_key(|symbol| symbol.addr);
    names.dedup_by_key(|symbol| symbol.addr);
    names
}
