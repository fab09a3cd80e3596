//! The plan: everything that the plugin has to know, compiled on the host from a kernel image and the event table.
//!
//! A plan file is a magic, a version and the plan in `postcard`. Version and layout are private to one build: the same
//! `guesttrace` writes and loads it, so there is no compatibility promise and no migration.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trace_format::{AbsentEvent, EventId, FieldKind, KernelInfo, Schema};

use crate::addr::LinkAddr;
use crate::guest_view::Register;
use crate::module_plan::{ModuleHook, ModulePlan};
use crate::pairing::{Expiry, Pairing};
use crate::program::{Field, Output, Program, ProgramError};
use crate::unwind::Unwind;
use crate::user::{Retry, UserPage};

const MAGIC: &[u8; 8] = b"gtplan\x00\x01";

/// Everything that the plugin has to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The kernel it was made for.
    pub kernel: KernelInfo,
    /// Events and enumerations, for the header of the trace.
    pub schema: Schema,
    /// Programs, shared by sites.
    pub programs: Vec<Program>,
    /// Hooks, for the count of how often each fired.
    pub hooks: Vec<Hook>,
    /// Events that were asked for and that the kernel has no place for.
    pub absent: Vec<AbsentEvent>,
    /// Where to stop and look, by ascending address; several may share one.
    pub sites: Vec<Site>,
    /// Code of the kernel image, to find its slide and to check the sites.
    pub image: Vec<ImageSegment>,
    /// All that is loaded of the kernel image, data included: first and last address.
    pub loaded: Option<(LinkAddr, LinkAddr)>,
    /// Where the kernel maps all memory one to one; one field, a number.
    pub direct_map_base: Option<Program>,
    /// Names for addresses, by ascending address.
    pub symbols: Vec<SymbolName>,
    /// The event that says which thread a CPU runs.
    pub thread: Option<ThreadEvent>,
    /// What else can be asked of the thread that runs, by name; one field each.
    pub contexts: Vec<ContextProgram>,
    /// Where a process comes into being: two numbers, the creator and the new process.
    pub births: Vec<Birth>,
    /// How what exists is found when recording starts late.
    pub walks: Vec<Walk>,
    /// Functions whose returns know their entries.
    pub pairings: Vec<Pairing>,
    /// Where tasks end, for those functions.
    pub expiries: Vec<Expiry>,
    /// Where modules come and go.
    pub module_hooks: Vec<ModuleHook>,
    /// Modules that have sites, by ascending address of their sections.
    pub modules: Vec<ModulePlan>,
    /// How call stacks are climbed, where a program does.
    pub unwind: Option<Arc<Unwind>>,
    /// Pages of programs that have sites, by ascending address.
    pub user_pages: Vec<UserPage>,
    /// How it is known that an instruction of a program executes again.
    pub retries: Vec<Retry>,
}

/// The event that says which thread a CPU runs, and which of its fields say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadEvent {
    /// The event.
    pub event: EventId,
    /// Field with the thread's number.
    pub tid: u8,
    /// Field with the process's number.
    pub pid: u8,
    /// Field with the name.
    pub comm: u8,
    /// Name of a CPU's idle thread, whose number is 0, before the CPU's number.
    pub idle_prefix: String,
}

/// Something that can be asked of the running thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextProgram {
    /// Its name in a filter, after `current.`.
    pub name: String,
    /// One field.
    pub program: Program,
}

/// A place where a process comes into being.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// The instruction, before which the program runs.
    pub addr: LinkAddr,
    /// Two fields: number of the creating process and of the new one.
    pub program: Program,
}

/// A bounded walk over what the kernel keeps in a list or a table; each item makes a record.
///
/// The programs find the item in [`Walk::ITEM`], what it belongs to in [`Walk::OWNER`] and its place in
/// [`Walk::INDEX`]: no register of the guest is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// How one item leads to the next.
    pub steps: Steps,
    /// At most so many items are visited.
    pub items_max: u32,
    /// Event and index of the program of its record; `None` for what is only passed through.
    pub record: Option<(EventId, u32)>,
    /// Walks from each item, which is their owner.
    pub inner: Vec<Walk>,
}

/// How one item of a walk leads to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Steps {
    /// From `first`, found from the owner, by `next`, found from each item, until `end`, found from the owner.
    List {
        /// The first item.
        first: Program,
        /// The item after an item.
        next: Program,
        /// What follows the last item.
        end: Program,
    },
    /// Pointers one after the other; those that are null are passed over.
    Table {
        /// Where the first pointer is, found from the owner.
        base: Program,
        /// How many there are, found from the owner.
        count: Program,
    },
}

impl Walk {
    /// Where a walk's programs find the item.
    pub const ITEM: Register = Register::Rdi;
    /// Where a walk's programs find what the item belongs to.
    pub const OWNER: Register = Register::Rsi;
    /// Where a walk's programs find the place of the item.
    pub const INDEX: Register = Register::Rdx;
    /// Walks within walks.
    pub const DEPTH_MAX: usize = 4;

    /// Every program of the walk and of those within it.
    fn programs(&self) -> Vec<&Program> {
        let mut programs = match &self.steps {
            Steps::List { first, next, end } => vec![first, next, end],
            Steps::Table { base, count } => vec![base, count],
        };
        programs.extend(self.inner.iter().flat_map(Self::programs));
        programs
    }

    /// Whether records and depth are in order.
    fn is_consistent(&self, plan: &Plan, depth: usize) -> bool {
        let fits = self
            .record
            .is_none_or(|(event, program)| plan.program_fits(event, program));
        fits && depth < Self::DEPTH_MAX
            && self
                .inner
                .iter()
                .all(|inner| inner.is_consistent(plan, depth + 1))
    }
}

/// A place in the kernel image, or in a program, where a record is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The instruction, before which the program runs.
    pub addr: LinkAddr,
    /// Event to record.
    pub event: EventId,
    /// Index into [`Plan::programs`].
    pub program: u32,
    /// Index into [`Plan::hooks`].
    pub hook: u32,
    /// Index into [`Plan::pairings`]: recorded only when the entry is known.
    pub pairing: Option<u32>,
    /// Whether the guest's run ends here.
    pub end: Option<EndReason>,
}

/// Why a guest's run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// Switched off.
    PowerOff,
    /// Restarted.
    Restart,
    /// Halted for good.
    Halt,
    /// The kernel panicked; recording goes on until the machine is off.
    Panic,
}

impl EndReason {
    /// Name in the trailer.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PowerOff => "power_off",
            Self::Restart => "restart",
            Self::Halt => "halt",
            Self::Panic => "panic",
        }
    }
}

/// A hook as people wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Name of the event.
    pub event: String,
    /// The hook, such as `tracepoint:sched:sched_switch`.
    pub hook: String,
}

/// A run of the kernel image's code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSegment {
    /// Where it is linked.
    pub addr: LinkAddr,
    /// The bytes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for ImageSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}+{:#x}", self.addr, self.bytes.len())
    }
}

/// The name of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolName {
    /// Where it begins.
    pub addr: LinkAddr,
    /// Its name.
    pub name: String,
}

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not a plan, or one of another version.
    #[error("not a probe plan of this version of guesttrace")]
    NotAPlan,
    /// Cannot be decoded.
    #[error("damaged probe plan")]
    Damaged(#[source] postcard::Error),
    /// A program breaks a rule.
    #[error("program {index} of the probe plan is invalid")]
    BadProgram {
        /// Its index.
        index: usize,
        /// The rule it breaks.
        #[source]
        source: ProgramError,
    },
    /// A walk is too deep, or its record does not fit its event's schema.
    #[error("a walk of the probe plan is inconsistent")]
    BadWalk,
    /// What pairs returns with entries is not a number, or too many.
    #[error("a pairing of the probe plan is inconsistent")]
    BadPairing,
    /// A hook of modules does not fetch what its kind needs.
    #[error("the module hook at {addr:?} of the probe plan is inconsistent")]
    BadModuleHook {
        /// The hook.
        addr: LinkAddr,
    },
    /// The rules by which call stacks are climbed refer to what is not there, or are missing.
    #[error("the call stacks of the probe plan are inconsistent")]
    BadUnwind,
    /// What is needed to watch programs is not there, or out of order.
    #[error("the user space of the probe plan is inconsistent")]
    BadUserSpace,
    /// A site refers to what is not there, or does not fit its event's schema.
    #[error("site {addr:?} of the probe plan is inconsistent")]
    BadSite {
        /// The site.
        addr: LinkAddr,
    },
}

impl Plan {
    /// Serialises the plan.
    ///
    /// # Errors
    /// When serialisation fails, which a plan of ordinary size does not.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PlanError> {
        postcard::to_extend(self, MAGIC.to_vec()).map_err(PlanError::Damaged)
    }

    /// Reads a plan back and checks it.
    ///
    /// # Errors
    /// When the bytes are not a plan, or the plan breaks a rule that the plugin relies on.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanError> {
        let body = bytes
            .strip_prefix(MAGIC.as_slice())
            .ok_or(PlanError::NotAPlan)?;
        let plan: Self = postcard::from_bytes(body).map_err(PlanError::Damaged)?;
        plan.validate()?;
        Ok(plan)
    }

    /// Checks everything that the plugin relies on.
    ///
    /// # Errors
    /// The first fault found.
    pub fn validate(&self) -> Result<(), PlanError> {
        for (index, program) in self.all_programs().enumerate() {
            program
                .validate()
                .map_err(|source| PlanError::BadProgram { index, source })?;
        }
        if let Some(bad) = self.module_hooks.iter().find(|hook| !hook.fits()) {
            return Err(PlanError::BadModuleHook { addr: bad.addr });
        }
        for site in &self.sites {
            let fits = self.program_fits(site.event, site.program);
            let is_paired = |index| self.pairings.get(index as usize).is_some();
            let fits = fits && site.pairing.is_none_or(is_paired);
            if !fits || site.hook as usize >= self.hooks.len() {
                return Err(PlanError::BadSite { addr: site.addr });
            }
        }
        let are_paired = self.pairings.iter().all(Pairing::is_consistent)
            && self.expiries.iter().all(Expiry::is_consistent);
        if !are_paired {
            return Err(PlanError::BadPairing);
        }
        let is_user_space_whole = self.user_pages.iter().all(UserPage::is_consistent)
            && self.user_pages.is_sorted_by_key(|page| page.addr)
            && self.retries.iter().all(Retry::is_consistent);
        if !is_user_space_whole {
            return Err(PlanError::BadUserSpace);
        }
        if !self.walks.iter().all(|walk| walk.is_consistent(self, 0)) {
            return Err(PlanError::BadWalk);
        }
        let climbs = |field: &Field| matches!(field.output, Output::CallStack { .. });
        let can_climb = match &self.unwind {
            Some(unwind) => unwind.is_consistent(),
            None => !self
                .all_programs()
                .flat_map(|program| &program.fields)
                .any(climbs),
        };
        if can_climb {
            Ok(())
        } else {
            Err(PlanError::BadUnwind)
        }
    }

    fn all_programs(&self) -> impl Iterator<Item = &Program> {
        self.programs
            .iter()
            .chain(&self.direct_map_base)
            .chain(self.contexts.iter().map(|context| &context.program))
            .chain(self.births.iter().map(|birth| &birth.program))
            .chain(self.walks.iter().flat_map(Walk::programs))
            .chain(self.pairings.iter().flat_map(Pairing::programs))
            .chain(self.expiries.iter().map(|expiry| &expiry.program))
            .chain(self.retries.iter().map(|retry| &retry.program))
            .chain(self.module_hooks.iter().map(|hook| &hook.program))
    }

    /// Whether a program fetches the fields of an event.
    fn program_fits(&self, event: EventId, program: u32) -> bool {
        let (Some(program), Some(event)) = (
            self.programs.get(program as usize),
            self.schema.event(event),
        ) else {
            return false;
        };
        let fits = |kind: &FieldKind, output: Output| match kind {
            FieldKind::Text | FieldKind::Bytes => {
                matches!(output, Output::String { .. } | Output::Bytes { .. })
            }
            FieldKind::Addresses => output.is_stack(),
            _ => output == Output::Number,
        };
        event.fields.len() == program.fields.len()
            && event
                .fields
                .iter()
                .zip(&program.fields)
                .all(|(schema, field)| fits(&schema.kind, field.output))
    }
}
