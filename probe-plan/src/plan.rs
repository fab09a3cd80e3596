//! The plan: everything that the plugin has to know, compiled on the host from a kernel image and the event table.
//!
//! A plan file is a magic, a version and the plan in `postcard`. Version and layout are private to one build: the same
//! `guesttrace` writes and loads it, so there is no compatibility promise and no migration.

use serde::{Deserialize, Serialize};
use trace_format::{EventId, KernelInfo, Schema};

use crate::addr::LinkAddr;
use crate::program::{Program, ProgramError};

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
    /// Where to stop and look, by ascending address; several may share one.
    pub sites: Vec<Site>,
    /// Code of the kernel image, to find its slide and to check the sites.
    pub image: Vec<ImageSegment>,
    /// All that is loaded of the kernel image, data included: first and last address.
    pub loaded: Option<(LinkAddr, LinkAddr)>,
    /// Where the kernel maps all memory one to one; one field, a number.
    pub direct_map_base: Option<Program>,
    /// Entry points of faults that interrupt a block half-way.
    pub fault_entries: Vec<FaultEntry>,
    /// Names for addresses, by ascending address.
    pub symbols: Vec<SymbolName>,
}

/// A place in the kernel image where a record is made.
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

/// Entry point of a fault: the processor left a block before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultEntry {
    /// First instruction of the handler.
    pub addr: LinkAddr,
    /// Where the processor pushed the address of the faulting instruction, from the stack pointer.
    pub return_address_offset: u8,
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
        for (index, program) in self
            .programs
            .iter()
            .chain(&self.direct_map_base)
            .enumerate()
        {
            program
                .validate()
                .map_err(|source| PlanError::BadProgram { index, source })?;
        }
        for site in &self.sites {
            let fits = self
                .programs
                .get(site.program as usize)
                .is_some_and(|program| {
                    self.schema.event(site.event).is_some_and(|event| {
                        event.fields.len() == program.fields.len()
                            && event
                                .fields
                                .iter()
                                .zip(&program.fields)
                                .all(|(schema, field)| {
                                    schema.kind.is_bytes()
                                        != matches!(field.output, crate::program::Output::Number)
                                })
                    })
                });
            if !fits || site.hook as usize >= self.hooks.len() {
                return Err(PlanError::BadSite { addr: site.addr });
            }
        }
        Ok(())
    }
}
