//! Compiles one site of an event: its candidates in order, until one works.

use guest_symbols::Kernel;
use guesttrace_events::{EventRow, Hook, SiteRow};
use probe_plan::{LinkAddr, Op, Program};

use crate::compile::CompileError;
use crate::expression::{Expr, ExprError, parse};
use crate::hook::{HookSite, Resolved, resolve};
use crate::typed::Compiler;

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

/// An expression that does not compile here.
struct Failure {
    name: String,
    error: ExprError,
}

impl Expressions {
    /// Reads the expressions of a site.
    pub(crate) fn parse(row: &EventRow, site: &SiteRow) -> Result<Self, CompileError> {
        let read = |name: &str, text: &str| {
            parse(text).map_err(|source| CompileError::Expression {
                event: row.name.clone(),
                name: name.to_owned(),
                text: text.to_owned(),
                source: Box::new(source),
            })
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

    fn compile(
        &self,
        kernel: &Kernel,
        row: &EventRow,
        site: &HookSite,
    ) -> Result<Program, Failure> {
        let mut compiler = Compiler::new(kernel, &site.scope, &self.bindings);
        let mut conditions: Vec<Vec<Op>> = site.fires.iter().cloned().collect();
        for condition in &self.conditions {
            let ops = compiler.condition(condition);
            conditions.push(ops.map_err(|error| Failure {
                name: "when".to_owned(),
                error,
            })?);
        }
        let mut fields = Vec::with_capacity(self.fields.len());
        for (expr, field) in self.fields.iter().zip(&row.fields) {
            let compiled = compiler.field(expr, &field.field_type);
            fields.push(compiled.map_err(|error| Failure {
                name: field.name.clone(),
                error,
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
) -> Result<(Resolution, Vec<Probe>), CompileError> {
    let expressions = Expressions::parse(row, site)?;
    let mut resolution = Resolution {
        event: row.name.clone(),
        site: index,
        candidates: Vec::with_capacity(site.hooks.len()),
        chosen: None,
        notes: Vec::new(),
    };
    let mut chosen = Vec::new();
    let superfluous = site
        .unless
        .as_ref()
        .filter(|hook| resolve(kernel, hook).is_ok());
    for hook in &site.hooks {
        let outcome = if let Some(other) = superfluous {
            Err(format!("not needed: {other} covers it"))
        } else if resolution.chosen.is_some() {
            Err("not needed: one before it was found".to_owned())
        } else {
            candidate(kernel, row, hook, &expressions).map(|(probes, notes)| {
                resolution.chosen = Some(resolution.candidates.len());
                resolution.notes = notes;
                chosen = probes;
                chosen.iter().map(|probe| probe.addr).collect()
            })
        };
        resolution.candidates.push((hook.to_string(), outcome));
    }
    Ok((resolution, chosen))
}

fn candidate(
    kernel: &Kernel,
    row: &EventRow,
    hook: &Hook,
    expressions: &Expressions,
) -> Result<(Vec<Probe>, Vec<String>), String> {
    let Resolved { sites, mut notes } =
        resolve(kernel, hook).map_err(|problem| problem.to_string())?;
    let mut probes = Vec::with_capacity(sites.len());
    let mut first_failure = None;
    for site in &sites {
        match expressions.compile(kernel, row, site) {
            Ok(program) => probes.push(Probe {
                addr: site.addr,
                program,
            }),
            Err(Failure { name, error }) => {
                let text = format!("`{name}` {error}");
                notes.push(format!("the site at {:#x}: {text}", site.addr.0));
                first_failure.get_or_insert(text);
            }
        }
    }
    match first_failure {
        Some(failure) if probes.is_empty() => Err(failure),
        _ => Ok((probes, notes)),
    }
}
