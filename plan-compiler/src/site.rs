//! Compiles one site of an event: its candidates in order, until one works.

use std::fmt;

use guest_symbols::Kernel;
use guesttrace_events::{EventRow, Hook, SiteRow, TRACEPOINT_ID_FIRST};
use probe_plan::{LinkAddr, Op, Pairing, Program};

use crate::compile::CompileError;
use crate::expression::{Expr, ExprError, parse};
use crate::fault::RowFault;
use crate::hook::{HookProblem, HookSite, Resolved, resolve};
use crate::pairing::pairing;
use crate::returns::Paired;
use crate::typed::Compiler;
use crate::user::place;

/// How a site of an event was found in a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Name of the event.
    pub event: String,
    /// Index of the site within the event.
    pub site: usize,
    /// Every candidate as written, and the addresses it stands for, or why it was not taken.
    pub candidates: Vec<(String, Result<Vec<LinkAddr>, String>)>,
    /// Index of the candidate that was taken.
    pub chosen: Option<usize>,
    /// What the chosen candidate does not cover, in words.
    pub notes: Vec<String>,
}

/// A probe ready for the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) addr: LinkAddr,
    pub(crate) program: Program,
}

/// The expressions of one site, read.
pub(crate) struct Expressions {
    bindings: Vec<(String, Expr)>,
    conditions: Vec<Expr>,
    fields: Vec<Expr>,
}

/// A site in a kernel.
#[derive(Debug)]
pub(crate) struct CompiledSite {
    pub(crate) resolution: Resolution,
    pub(crate) probes: Vec<Probe>,
    /// Set when the probes are returns that need their entries.
    pub(crate) pairing: Option<Pairing>,
    /// Why no candidate was taken: that of the first with an expression that does not compile, else of the first.
    pub(crate) fault: Option<RowFault>,
}

/// An expression that does not compile here.
struct Failure {
    name: String,
    error: Box<ExprError>,
}

/// Why a candidate is not taken.
enum CandidateProblem {
    Hook(HookProblem),
    Expression(Failure),
}

impl fmt::Display for CandidateProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook(problem) => problem.fmt(out),
            Self::Expression(Failure { name, error }) => write!(out, "`{name}` {error}"),
        }
    }
}

impl Expressions {
    /// Reads the expressions of a site.
    pub(crate) fn parse(row: &EventRow, site: &SiteRow) -> Result<Self, CompileError> {
        let read = |name: &str, text: &str| {
            parse(text).map_err(|error| Box::new(RowFault::expression(row, site, name, error)))
        };
        // The table's check saw to it that a name without expression is set by every site.
        let text = |name: &str, own: &Option<String>| {
            site.set
                .get(name)
                .or(own.as_ref())
                .cloned()
                .unwrap_or_else(|| "missing".to_owned())
        };
        let bindings = row.bind.iter().map(|bind| {
            let expr = read(&bind.name, &text(&bind.name, &bind.fetch));
            expr.map(|expr| (bind.name.clone(), expr))
        });
        let fields = row
            .fields
            .iter()
            .map(|field| read(&field.name, &text(&field.name, &field.fetch)));
        let conditions = row
            .when
            .iter()
            .chain(&site.when)
            .map(|when| read("when", when));
        Ok(Self {
            bindings: bindings.collect::<Result<_, _>>()?,
            fields: fields.collect::<Result<_, _>>()?,
            conditions: conditions.collect::<Result<_, _>>()?,
        })
    }

    /// Whether something here is known only where a return is paired with its entry.
    fn need_entry(&self, kernel: &Kernel, row: &EventRow, paired: &Paired) -> bool {
        let Some(site) = paired.leaves.first() else {
            return false;
        };
        let mut compiler = Compiler::new(kernel, &site.scope, &self.bindings);
        for condition in &self.conditions {
            // What is wrong is told when the site is compiled.
            let _ = compiler.condition(condition);
        }
        for (expr, field) in self.fields.iter().zip(&row.fields) {
            let _ = compiler.field(expr, &field.field_type);
        }
        compiler.uses_entry()
    }

    fn compile(
        &self,
        kernel: &Kernel,
        row: &EventRow,
        site: &HookSite,
    ) -> Result<Program, Failure> {
        let kernel = kernel.view_at(guest_symbols::LinkAddr(site.addr.0));
        let mut compiler = Compiler::new(kernel, &site.scope, &self.bindings);
        let mut conditions: Vec<Vec<Op>> = site.fires.iter().cloned().collect();
        for condition in &self.conditions {
            let ops = compiler.condition(condition);
            conditions.push(ops.map_err(|error| Failure {
                name: "when".to_owned(),
                error: Box::new(error),
            })?);
        }
        let mut fields = Vec::with_capacity(self.fields.len());
        for (expr, field) in self.fields.iter().zip(&row.fields) {
            let compiled = compiler.field(expr, &field.field_type);
            fields.push(compiled.map_err(|error| Failure {
                name: field.name.clone(),
                error: Box::new(error),
            })?);
        }
        Ok(Program {
            bindings: compiler.into_slots(),
            condition: all_of(conditions),
            fields,
        })
    }
}

/// One condition that holds when all hold; a later one is evaluated only when those before it hold.
fn all_of(conditions: Vec<Vec<Op>>) -> Option<Vec<Op>> {
    conditions.into_iter().reduce(|mut all, next| {
        // Validation refuses what a jump cannot reach, as every other program that is too long.
        let over_next = u8::try_from(next.len() + 1).unwrap_or(u8::MAX);
        all.push(Op::JumpIfZero(over_next));
        all.extend(next);
        all.extend([Op::Jump(1), Op::Const(0)]);
        all
    })
}

/// Tries the candidates of a site.
pub(crate) fn compile_site(
    kernel: &Kernel,
    row: &EventRow,
    index: usize,
    site: &SiteRow,
) -> Result<CompiledSite, CompileError> {
    let expressions = Expressions::parse(row, site)?;
    let mut compiled = CompiledSite {
        resolution: Resolution {
            event: row.name.clone(),
            site: index,
            candidates: Vec::with_capacity(site.hooks.len()),
            chosen: None,
            notes: Vec::new(),
        },
        probes: Vec::new(),
        pairing: None,
        fault: None,
    };
    let resolution = &mut compiled.resolution;
    let superfluous = site
        .unless
        .as_ref()
        .filter(|hook| resolve(kernel, hook).is_ok());
    for hook in &site.hooks {
        let outcome: Result<Vec<LinkAddr>, String> = if let Some(other) = superfluous {
            Err(format!("not needed: {other} covers it"))
        } else if resolution.chosen.is_some() {
            Err("not needed: one before it was found".to_owned())
        } else {
            match candidate(kernel, row, hook, &expressions) {
                Ok(mut taken) => {
                    if let Some(program) = hook.program() {
                        place(kernel, program, &mut taken.probes, taken.pairing.as_mut());
                    }
                    resolution.chosen = Some(resolution.candidates.len());
                    resolution.notes = taken.notes;
                    let addrs = taken.probes.iter().map(|probe| probe.addr).collect();
                    compiled.probes = taken.probes;
                    compiled.pairing = taken.pairing;
                    Ok(addrs)
                }
                Err(problem) => {
                    let text = problem.to_string();
                    note_fault(&mut compiled.fault, row, site, hook, problem);
                    Err(text)
                }
            }
        };
        let text = match outcome.as_ref().map(|addrs| module_of(kernel, addrs)) {
            Ok(Some(module)) => format!("{hook} [{module}]"),
            _ => hook.to_string(),
        };
        resolution.candidates.push((text, outcome));
    }
    if compiled.resolution.chosen.is_some() {
        compiled.fault = None;
    }
    Ok(compiled)
}

/// Keeps the fault that helps most: a wrong expression is the user's, a missing hook may be the kernel's.
fn note_fault(
    known: &mut Option<RowFault>,
    row: &EventRow,
    site: &SiteRow,
    hook: &Hook,
    problem: CandidateProblem,
) {
    let next = match problem {
        CandidateProblem::Hook(problem) => RowFault::hook(row, hook, problem),
        CandidateProblem::Expression(Failure { name, error }) => {
            RowFault::expression(row, site, &name, *error)
        }
    };
    if known
        .as_ref()
        .is_none_or(|known| known.is_hook() && !next.is_hook())
    {
        *known = Some(next);
    }
}

/// A candidate that is taken.
struct Taken {
    probes: Vec<Probe>,
    notes: Vec<String>,
    pairing: Option<Pairing>,
}

/// The module that all those places are in; `None` when the kernel has one.
fn module_of<'a>(kernel: &'a Kernel, addrs: &[LinkAddr]) -> Option<&'a str> {
    let addr = addrs.iter().min()?;
    let view = kernel.view_at(guest_symbols::LinkAddr(addr.0));
    view.module().map(|module| module.name())
}

fn candidate(
    kernel: &Kernel,
    row: &EventRow,
    hook: &Hook,
    expressions: &Expressions,
) -> Result<Taken, CandidateProblem> {
    let resolved = resolve(kernel, hook).map_err(CandidateProblem::Hook)?;
    let kernel = resolved.view(kernel, hook);
    let Resolved {
        sites,
        notes,
        paired,
    } = resolved;
    // Which of a program's jumps leave a function is known only by the stack: its returns are always paired.
    let is_needed =
        |paired: &Paired| kernel.program().is_some() || expressions.need_entry(kernel, row, paired);
    match paired.filter(is_needed) {
        Some(paired) => {
            let notes = paired.notes.clone();
            let mut taken = at_sites(kernel, row, &paired.leaves, notes, expressions)?;
            let programs = taken.probes.iter_mut().map(|probe| &mut probe.program);
            taken.pairing = pairing(kernel, &paired, &mut programs.collect::<Vec<_>>());
            if taken.pairing.is_none() {
                let name = hook.to_string();
                return Err(CandidateProblem::Hook(HookProblem::NoPairing { name }));
            }
            Ok(taken)
        }
        None => at_sites(kernel, row, &sites, notes, expressions),
    }
}

fn at_sites(
    kernel: &Kernel,
    row: &EventRow,
    sites: &[HookSite],
    mut notes: Vec<String>,
    expressions: &Expressions,
) -> Result<Taken, CandidateProblem> {
    let mut probes = Vec::with_capacity(sites.len());
    let mut first_failure = None;
    for site in sites {
        match expressions.compile(kernel, row, site) {
            Ok(program) => {
                notes.extend(lost_arguments(row, site));
                probes.push(Probe {
                    addr: site.addr,
                    program,
                });
            }
            Err(failure) => {
                let Failure { name, error } = &failure;
                notes.push(format!("the site at {:#x}: `{name}` {error}", site.addr.0));
                first_failure.get_or_insert(failure);
            }
        }
    }
    match first_failure {
        Some(failure) if probes.is_empty() => Err(CandidateProblem::Expression(failure)),
        _ => Ok(Taken {
            probes,
            notes,
            pairing: None,
        }),
    }
}

/// Arguments that a row of all arguments lacks at a site.
fn lost_arguments(row: &EventRow, site: &HookSite) -> Vec<String> {
    let arguments = site.scope.arguments.iter().filter_map(|argument| {
        let reason = argument.ops.as_ref().err()?;
        Some((argument.name.as_deref()?, reason))
    });
    let locals = site.scope.locals.iter().filter(|local| local.is_parameter);
    let locals =
        locals.filter_map(|local| Some((local.name.as_str(), local.value.as_ref().err()?)));
    // Where the user chose the fields, an argument that is not had is an error.
    let is_wanted = |name: &str| {
        let fetch = format!("either({name}, missing)");
        row.id >= TRACEPOINT_ID_FIRST
            || row
                .fields
                .iter()
                .any(|field| field.fetch.as_ref() == Some(&fetch))
    };
    arguments
        .chain(locals)
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, reason)| format!("the site at {:#x}: no `{name}`: {reason}", site.addr.0))
        .collect()
}
