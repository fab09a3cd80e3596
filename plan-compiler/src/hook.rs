//! Finds hooks in a kernel: addresses, and what an expression has there to work with.

use guest_symbols::{Kernel, Symbol, Tracepoint};
use guesttrace_events::Hook;
use iced_x86::{Decoder, DecoderOptions};
use probe_plan::{LinkAddr, Op};

pub use crate::hook_problem::HookProblem;
use crate::locals::locals;
use crate::returns::{Paired, returns};
use crate::suggest::nearest;
use crate::tracepoint::{RecoveredSite, recover_site, tracepoint_arguments};
use crate::typed::{Argument, Scope, Ty, entry_arguments, numbered_arguments, signature};

/// An address at which a hook watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookSite {
    pub(crate) addr: LinkAddr,
    pub(crate) scope: Scope,
    /// Not zero when what the hook stands for happens; `None` when it always does.
    pub(crate) fires: Option<Vec<Op>>,
}

/// A hook in a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) sites: Vec<HookSite>,
    /// What is not covered, in words.
    pub(crate) notes: Vec<String>,
    /// At a function's returns: what there is instead for expressions that need its entry.
    pub(crate) paired: Option<Paired>,
}

impl Resolved {
    /// The sites at which most names mean something.
    pub(crate) fn richest_sites(&self) -> &[HookSite] {
        self.paired
            .as_ref()
            .map_or(&self.sites, |paired| &paired.leaves)
    }

    /// Those of another place too.
    fn with(mut self, other: Self) -> Self {
        self.sites.extend(other.sites);
        self.notes.extend(other.notes);
        self
    }

    /// What an expression sees there: in a module or a program, its names and types too.
    pub(crate) fn view<'k>(&self, kernel: &'k Kernel, hook: &Hook) -> &'k Kernel {
        if let Some(program) = hook.program() {
            return kernel.program_view(program).unwrap_or(kernel);
        }
        let site = self.richest_sites().first();
        site.map_or(kernel, |site| {
            kernel.view_at(guest_symbols::LinkAddr(site.addr.0))
        })
    }
}

/// Finds a hook in the kernel, or else in a module that it may load.
///
/// A function is in one place; a tracepoint of the kernel may be in the code of modules too.
pub(crate) fn resolve(kernel: &Kernel, hook: &Hook) -> Result<Resolved, HookProblem> {
    let in_kernel = resolve_in(kernel, hook);
    let is_tracepoint = matches!(hook, Hook::Tracepoint { .. });
    let is_alone = kernel.modules().is_empty() || hook.program().is_some();
    if is_alone || (in_kernel.is_ok() && !is_tracepoint) {
        return in_kernel;
    }
    let of_modules = kernel.modules().iter().map(|view| resolve_in(view, hook));
    let (found, problems): (Vec<_>, Vec<_>) = of_modules.partition(Result::is_ok);
    let found: Vec<Resolved> = found.into_iter().flatten().collect();
    let problem = match in_kernel {
        Ok(resolved) => return Ok(found.into_iter().fold(resolved, Resolved::with)),
        Err(problem) if !problem.is_absence() => return Err(problem),
        Err(problem) => problem,
    };
    if found.len() > 1 && !is_tracepoint {
        let modules = found.iter().filter_map(|it| it.view(kernel, hook).module());
        return Err(HookProblem::SeveralModules {
            name: hook.to_string(),
            modules: modules.map(|module| module.name().to_owned()).collect(),
        });
    }
    let of_modules = problems.into_iter().filter_map(Result::err);
    let told = of_modules.fold(problem, HookProblem::or);
    found.into_iter().reduce(Resolved::with).ok_or(told)
}

fn resolve_in(kernel: &Kernel, hook: &Hook) -> Result<Resolved, HookProblem> {
    match hook {
        Hook::Tracepoint { system, name } => tracepoint(kernel, system, name),
        Hook::Entry { function, offset } => entry(kernel, function, *offset),
        Hook::Return { function } => returns(kernel, function),
        Hook::Address(addr) => address(kernel, *addr),
        Hook::Line { file, line } => source_line(kernel, file, *line),
        Hook::Program { program, place } => {
            let name = || program.clone();
            let view = kernel
                .program_view(program)
                .ok_or_else(|| HookProblem::NoProgram { program: name() })?;
            resolve(view, place).map_err(|problem| HookProblem::InProgram {
                program: name(),
                problem: Box::new(problem),
            })
        }
        // Only for what its expressions can refer to: no instruction is at that address.
        Hook::Recorder { .. } => Ok(Resolved {
            sites: vec![HookSite {
                addr: LinkAddr(0),
                scope: Scope::default(),
                fires: None,
            }],
            notes: Vec::new(),
            paired: None,
        }),
    }
}

/// The function of that name; a global one rather than local ones.
pub(crate) fn function<'a>(kernel: &'a Kernel, name: &str) -> Result<Symbol<'a>, HookProblem> {
    let is_code = |symbol: &Symbol<'_>| matches!(symbol.kind, 't' | 'T' | 'w' | 'W');
    let found = kernel.symbols().all(name).filter(is_code);
    let found: Vec<Symbol<'a>> = found.filter(|symbol| kernel.owns(symbol.addr)).collect();
    if let Some(global) = found.iter().find(|symbol| symbol.kind != 't') {
        return Ok(*global);
    }
    match found.as_slice() {
        [local] => Ok(*local),
        [] if kernel.symbols().all(name).any(|symbol| symbol.kind == 'i') => {
            Err(indirect(kernel, name))
        }
        [] => {
            let names = kernel
                .symbols()
                .iter()
                .filter(is_code)
                .map(|symbol| symbol.name);
            let suggestion = nearest(name, names);
            Err(HookProblem::NoFunction {
                name: name.to_owned(),
                suggestion,
            })
        }
        several => Err(HookProblem::Ambiguous {
            name: name.to_owned(),
            addrs: several.iter().map(|symbol| symbol.addr.0).collect(),
        }),
    }
}

/// Of an indirect function, some of those that it may be.
fn indirect(kernel: &Kernel, name: &str) -> HookProblem {
    const SHOWN_MAX: usize = 4;
    let symbols = kernel.symbols().iter();
    let similar = symbols.filter(|symbol| {
        let rest = symbol.name.trim_start_matches('_').strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('_')) && matches!(symbol.kind, 't' | 'T')
    });
    HookProblem::Indirect {
        name: name.to_owned(),
        variants: similar
            .map(|symbol| symbol.name.to_owned())
            .take(SHOWN_MAX)
            .collect(),
    }
}

fn entry(kernel: &Kernel, name: &str, offset: u64) -> Result<Resolved, HookProblem> {
    let symbol = function(kernel, name)?;
    Ok(Resolved {
        sites: vec![site_in(kernel, symbol, offset)?],
        ..Resolved::default()
    })
}

fn address(kernel: &Kernel, addr: u64) -> Result<Resolved, HookProblem> {
    let found = kernel.symbols().at(guest_symbols::LinkAddr(addr));
    let (symbol, offset) = found
        .filter(|(symbol, _)| matches!(symbol.kind, 't' | 'T' | 'w' | 'W'))
        .ok_or(HookProblem::NoFunctionAt { addr })?;
    Ok(Resolved {
        sites: vec![site_in(kernel, symbol, offset)?],
        ..Resolved::default()
    })
}

fn source_line(kernel: &Kernel, file: &str, line: u32) -> Result<Resolved, HookProblem> {
    let addrs = kernel
        .addresses_of_line(file, line.into())
        .map_err(|error| HookProblem::NoLines {
            reason: error.to_string(),
        })?;
    let mut resolved = Resolved::default();
    for addr in addrs {
        match address(kernel, addr.0) {
            Ok(found) => resolved.sites.extend(found.sites),
            Err(problem) => resolved.notes.push(problem.to_string()),
        }
    }
    if resolved.sites.is_empty() {
        let file = file.to_owned();
        return Err(HookProblem::NoCodeOfLine { file, line });
    }
    Ok(resolved)
}

/// An instruction of a function.
fn site_in(kernel: &Kernel, symbol: Symbol<'_>, offset: u64) -> Result<HookSite, HookProblem> {
    let name = symbol.name;
    let bytes = usize::try_from(symbol.size)
        .ok()
        .and_then(|size| kernel.read(symbol.addr, size));
    let bytes = bytes.ok_or_else(|| HookProblem::NoCode {
        name: name.to_owned(),
    })?;
    let addr = symbol.addr.0.wrapping_add(offset);
    let code = Decoder::with_ip(64, bytes, symbol.addr.0, DecoderOptions::NONE);
    let found = code
        .into_iter()
        .take_while(|instruction| instruction.ip() <= addr)
        .find(|instruction| instruction.ip() == addr);
    let Some(instruction) = found else {
        return Err(HookProblem::NotAnInstruction {
            name: name.to_owned(),
            offset,
        });
    };
    let has_prefix = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    if instruction.is_string_instruction() && has_prefix {
        return Err(HookProblem::Repeats {
            name: name.to_owned(),
            offset,
        });
    }
    let mut scope = if offset == 0 {
        entry_scope(kernel, name)
    } else {
        without_arguments(
            "without DWARF (--vmlinux) arguments are known at the first instruction only; use registers such as %rdi",
        )
    };
    scope.has_caller = offset == 0;
    if scope.why_no_arguments.is_some()
        && let Ok(locals) = locals(kernel, guest_symbols::LinkAddr(addr))
        && !locals.is_empty()
    {
        scope.locals = locals;
        scope.why_no_arguments = None;
    }
    Ok(HookSite {
        addr: LinkAddr(addr),
        scope,
        fires: None,
    })
}

pub(crate) fn without_arguments(why: &str) -> Scope {
    Scope {
        why_no_arguments: Some(why.to_owned()),
        ..Scope::default()
    }
}

/// Parts of a function that the compiler made take other arguments than their source says.
fn is_altered(name: &str) -> bool {
    name.split('.')
        .skip(1)
        .any(|suffix| matches!(suffix, "isra" | "constprop" | "part" | "cold"))
}

pub(crate) fn entry_scope(kernel: &Kernel, name: &str) -> Scope {
    if is_altered(name) {
        return without_arguments(
            "the compiler changed the arguments of this function; use registers such as %rdi",
        );
    }
    let types = kernel.types();
    // Behind it is the version for linking.
    let name = name.split('@').next().unwrap_or(name);
    match types.function(name).and_then(|id| signature(types.get(id))) {
        Some((_, params)) => Scope {
            arguments: entry_arguments(kernel, params),
            ..Scope::default()
        },
        None if kernel.program().is_some() => Scope {
            arguments: numbered_arguments(),
            ..without_arguments(
                "there is no debug information of this function; use arg0 to arg5, or registers such as %rdi",
            )
        },
        None => without_arguments(
            "the kernel's types do not have this function; use registers such as %rdi",
        ),
    }
}

fn tracepoint(kernel: &Kernel, system: &str, name: &str) -> Result<Resolved, HookProblem> {
    let all = kernel
        .tracepoints()
        .map_err(|error| HookProblem::NoTracepoints {
            reason: error.to_string(),
        })?;
    let Some(found) = all.iter().find(|tracepoint| tracepoint.name == name) else {
        let suggestion = nearest(name, all.iter().map(|tracepoint| tracepoint.name.as_str()));
        return Err(HookProblem::NoTracepoint {
            name: name.to_owned(),
            suggestion,
        });
    };
    // Those without an ftrace event have no system; then the name alone must do, which is unique in a kernel.
    if let Some(other) = &found.system
        && other != system
    {
        return Err(HookProblem::OtherSystem {
            name: name.to_owned(),
            system: other.clone(),
        });
    }
    let recovered: Vec<_> = found
        .sites
        .iter()
        .map(|site| (site.code.0, recover_site(kernel, found, site)))
        .collect();
    let nested: Vec<u64> = recovered
        .iter()
        .filter_map(|(_, site)| site.as_ref().ok())
        .flat_map(|site| site.nested.clone())
        .collect();
    let mut resolved = Resolved::default();
    let mut first_problem = None;
    // A site behind another one runs only when the guest switched the tracepoint on, and then twice.
    for (addr, site) in recovered
        .into_iter()
        .filter(|(addr, _)| !nested.contains(addr))
    {
        match site {
            Ok(site) => resolved
                .sites
                .push(tracepoint_site(kernel, found, LinkAddr(addr), site)),
            Err(problem) => {
                resolved
                    .notes
                    .push(format!("the site at {addr:#x}: {problem}"));
                first_problem.get_or_insert(problem);
            }
        }
    }
    match first_problem {
        _ if !resolved.sites.is_empty() => Ok(resolved),
        Some(reason) => Err(HookProblem::Unrecoverable {
            name: name.to_owned(),
            reason,
        }),
        None => Err(HookProblem::NoSites {
            name: name.to_owned(),
        }),
    }
}

fn tracepoint_site(
    kernel: &Kernel,
    tracepoint: &Tracepoint,
    addr: LinkAddr,
    site: RecoveredSite,
) -> HookSite {
    let arguments = tracepoint_arguments(kernel, tracepoint).unwrap_or_default();
    let arguments = arguments
        .into_iter()
        .zip(site.arguments)
        .map(|(argument, ops)| Argument {
            name: Some(argument.name),
            ty: Ty::Of(argument.type_id),
            ops: ops.map_err(|reason| reason.to_string()),
        });
    HookSite {
        addr,
        scope: Scope {
            arguments: arguments.collect(),
            ..Scope::default()
        },
        fires: site.condition,
    }
}
