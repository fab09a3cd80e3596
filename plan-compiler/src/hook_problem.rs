//! Why a kernel, or a program on it, does not have a hook: in words.

use crate::tracepoint::Unrecoverable;

/// Why a kernel does not have a hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HookProblem {
    /// No such symbol.
    #[error("no function {name}{}", did_you_mean(.suggestion))]
    NoFunction {
        /// The name.
        name: String,
        /// The nearest name.
        suggestion: Option<String>,
    },
    /// Several local functions have the name.
    #[error("{} functions are called {name}; choose by address: {}", .addrs.len(), addresses(.addrs))]
    Ambiguous {
        /// The name.
        name: String,
        /// Where they are.
        addrs: Vec<u64>,
    },
    /// Several modules have the function.
    #[error("{name} is in the modules {}; pass the one that is meant as --module FILE.ko", .modules.join(", "))]
    SeveralModules {
        /// The hook.
        name: String,
        /// The modules.
        modules: Vec<String>,
    },
    /// No code is there.
    #[error("no function is at {addr:#x}")]
    NoFunctionAt {
        /// The address.
        addr: u64,
    },
    /// The compiler left no code of the line, or there is no such file.
    #[error("no code comes from {file}:{line}")]
    NoCodeOfLine {
        /// The file as given.
        file: String,
        /// The line.
        line: u32,
    },
    /// Lines of the source cannot be found.
    #[error("lines of the source cannot be found: {reason}")]
    NoLines {
        /// Why.
        reason: String,
    },
    /// The image has no code there.
    #[error("the code of {name} is not in the image")]
    NoCode {
        /// The function.
        name: String,
    },
    /// The offset is not the start of an instruction.
    #[error("{name}+{offset:#x} is not the start of an instruction of it")]
    NotAnInstruction {
        /// The function.
        name: String,
        /// The offset.
        offset: u64,
    },
    /// A function that never returns, or only in ways that are not covered.
    #[error("{name} has no exit that can be watched: {not_covered}")]
    NoExit {
        /// The function.
        name: String,
        /// Its exits.
        not_covered: String,
    },
    /// Nothing tells which task runs.
    #[error("{name} cannot be paired with entries: which task runs is not known")]
    NoPairing {
        /// The hook.
        name: String,
    },
    /// Nobody gave the program's file.
    #[error("the program {program} was not read")]
    NoProgram {
        /// The program, as it was named.
        program: String,
    },
    /// The program does not have the place.
    #[error("{program} has not got it: {problem}")]
    InProgram {
        /// The program.
        program: String,
        /// Why.
        problem: Box<HookProblem>,
    },
    /// The address of the function is decided as the program starts.
    #[error(
        "which function {name} is is decided as the program starts (an indirect function)\n\
         hint: name the variant that this processor gets{}", listed(.variants)
    )]
    Indirect {
        /// The function.
        name: String,
        /// Functions with similar names.
        variants: Vec<String>,
    },
    /// Recorded as often as the instruction goes round.
    #[error(
        "{name}+{offset:#x} is an instruction that repeats itself: it would be recorded each time"
    )]
    Repeats {
        /// The function.
        name: String,
        /// The offset.
        offset: u64,
    },
    /// No such tracepoint.
    #[error("no tracepoint {name}{}", did_you_mean(.suggestion))]
    NoTracepoint {
        /// The name.
        name: String,
        /// The nearest name.
        suggestion: Option<String>,
    },
    /// The tracepoint is in another group.
    #[error("tracepoint {name} is in the system {system}")]
    OtherSystem {
        /// The name.
        name: String,
        /// Its system.
        system: String,
    },
    /// Nothing in the kernel image runs the tracepoint.
    #[error("tracepoint {name} is not used in the kernel image")]
    NoSites {
        /// The name.
        name: String,
    },
    /// The kernel's table of tracepoints is not to be had.
    #[error("the kernel's tracepoints cannot be read: {reason}")]
    NoTracepoints {
        /// Why.
        reason: String,
    },
    /// No site tells where its arguments are.
    #[error("the arguments of {name} are not known: {reason}")]
    Unrecoverable {
        /// The tracepoint.
        name: String,
        /// Of the first site.
        reason: Unrecoverable,
    },
}

impl HookProblem {
    /// Whether nothing of the name is there.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::NoFunction { .. } | Self::NoTracepoint { .. })
    }

    /// That of the two which says more.
    pub(crate) fn or(self, other: Self) -> Self {
        let says_nothing = |problem: &Self| match problem {
            Self::NoFunction { suggestion, .. } | Self::NoTracepoint { suggestion, .. } => {
                suggestion.is_none()
            }
            _ => false,
        };
        let is_better = self.is_absence() && !other.is_absence();
        if is_better || (says_nothing(&self) && !says_nothing(&other)) {
            other
        } else {
            self
        }
    }
}

fn addresses(addrs: &[u64]) -> String {
    let texts: Vec<String> = addrs.iter().map(|addr| format!("{addr:#x}")).collect();
    texts.join(", ")
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(": {}", names.join(", ")),
    }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion
        .as_ref()
        .map(|name| format!("; did you mean {name}?"))
        .unwrap_or_default()
}
