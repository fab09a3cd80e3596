//! Which names a selection needs that only a module can have.

use guest_symbols::Kernel;
use guesttrace_events::{EventTable, Hook, Source};

use crate::own::ProbeSpec;
use crate::selection::{Selection, glob};

/// Names that were asked for, to find the modules that have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Patterns of system and name.
    tracepoints: Vec<(String, String)>,
    functions: Vec<String>,
}

/// What a module has, as far as it is known without linking it.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// Systems of its tracepoints.
    pub systems: &'a [String],
    /// Names of its own tracepoints.
    pub tracepoints: &'a [String],
    /// Names of tracepoints of the kernel or other modules that its code runs.
    pub foreign: &'a [String],
}

impl Wanted {
    /// What the selection, the rows of the user's files and his probes name.
    ///
    /// The rows of the built-in table are about the kernel itself.
    #[must_use]
    pub fn of(
        kernel: &Kernel,
        table: &EventTable,
        selection: &Selection,
        probes: &[ProbeSpec],
    ) -> Self {
        let mut wanted = Self::default();
        for (system, name) in selection.tracepoint_patterns() {
            wanted.add_tracepoints(system, name);
        }
        let own = table
            .events()
            .iter()
            .filter(|row| row.source != Source::Builtin);
        let of_rows = own.flat_map(|row| &row.sites).flat_map(|site| &site.hooks);
        for hook in of_rows.chain(probes.iter().map(|spec| &spec.hook)) {
            match hook {
                Hook::Tracepoint { system, name } => wanted.add_tracepoints(system, name),
                Hook::Entry { function, .. } | Hook::Return { function } => {
                    if kernel.symbols().address(function).is_none() {
                        wanted.functions.push(function.clone());
                    }
                }
                Hook::Address(_)
                | Hook::Line { .. }
                | Hook::Program { .. }
                | Hook::Recorder { .. } => {}
            }
        }
        wanted
    }

    /// A pattern for all systems stands for the kernel's own, or half of all modules would have to be read.
    fn add_tracepoints(&mut self, system: &str, name: &str) {
        let is_pattern = |text: &str| text.contains(['*', '?']);
        if !is_pattern(system) || !is_pattern(name) {
            // A system's name is part of a symbol's, in which there is no dash.
            let system = system.replace('-', "_");
            self.tracepoints.push((system, name.to_owned()));
        }
    }

    /// Whether no module is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracepoints.is_empty() && self.functions.is_empty()
    }

    /// The functions that the kernel does not have.
    #[must_use]
    pub fn functions(&self) -> &[String] {
        &self.functions
    }

    /// Whether a module of that name is likely to have the function, which no module has.
    #[must_use]
    pub fn is_likely_in(module: &str, function: &str) -> bool {
        let rest = function.trim_start_matches('_').strip_prefix(module);
        rest.is_some_and(|rest| rest.starts_with('_'))
    }

    /// Whether a module has a tracepoint that is wanted, or runs one.
    #[must_use]
    pub fn wants_tracepoints_of(&self, kernel: &Kernel, module: Offered<'_>) -> bool {
        let matches = |pattern: &str, text: &str| glob(pattern.as_bytes(), text.as_bytes());
        self.tracepoints.iter().any(|(system, name)| {
            // A name that no module has may be a slip: then its system's names tell what there is.
            let is_own = module.systems.iter().any(|own| matches(system, own))
                && (!name.contains(['*', '?'])
                    || module.tracepoints.iter().any(|own| matches(name, own)));
            let is_run = |other: &String| matches(name, other) && kernel_has(kernel, system, other);
            is_own || module.foreign.iter().any(is_run)
        })
    }
}

/// Whether the kernel has the tracepoint in a system of that pattern.
fn kernel_has(kernel: &Kernel, system: &str, name: &str) -> bool {
    let all = kernel.tracepoints().unwrap_or_default();
    all.iter().any(|tracepoint| {
        let of = tracepoint
            .system
            .as_deref()
            .unwrap_or("none")
            .replace('-', "_");
        tracepoint.name == name && glob(system.as_bytes(), of.as_bytes())
    })
}
