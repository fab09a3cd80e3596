//! Modules in a plan: linked at addresses of their own, loaded wherever the running guest puts them.

use serde::{Deserialize, Serialize};

use crate::addr::LinkAddr;
use crate::program::{Field, Output, Program};

/// Where the kernel takes a module in, or lets it go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleHook {
    /// The instruction, before which the program runs.
    pub addr: LinkAddr,
    /// What happens there.
    pub change: ModuleChange,
    /// The module: its name, and of one that comes the address, number and names of its symbols, as
    /// [`ModuleChange::Loads`] says.
    pub program: Program,
}

impl ModuleHook {
    /// Whether the program has the fields that the change needs.
    pub(crate) fn fits(&self) -> bool {
        let numbers = match self.change {
            ModuleChange::Loads => 3,
            ModuleChange::Unloads => 0,
        };
        let is_number = |field: &Field| field.output == Output::Number;
        match self.program.fields.split_first() {
            Some((name, rest)) => {
                !is_number(name) && rest.len() == numbers && rest.iter().all(is_number)
            }
            None => false,
        }
    }
}

/// What happens to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModuleChange {
    /// It is in memory, relocated; nothing of it has run. The program has four fields: the name, then numbers: where its
    /// ELF symbols are, how many, and where their names begin.
    Loads,
    /// It goes. The program has one field, the name.
    Unloads,
}

/// A module that has sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModulePlan {
    /// Its name.
    pub name: String,
    /// GNU build id in hex.
    pub build_id: String,
    /// Whether there is an event that has sites nowhere else: without the module it never happens.
    pub is_only_place: bool,
    /// Its sections by ascending address.
    pub sections: Vec<ModuleSection>,
}

/// A section of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleSection {
    /// Where it is linked.
    pub addr: LinkAddr,
    /// Its size.
    pub bytes: u64,
    /// What tells where the guest has it; those of symbols come before those of fields.
    pub anchors: Vec<SectionAnchor>,
    /// The code, when the section has sites: what the guest has must be the same.
    #[serde(with = "serde_bytes")]
    pub code: Vec<u8>,
    /// Where the loader writes into the code: offset and number of bytes, by ascending offset.
    pub relocated: Vec<(u32, u8)>,
}

/// What tells where the guest has a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SectionAnchor {
    /// A symbol of the module lies so far into the section.
    Symbol {
        /// Its name.
        name: String,
        /// Bytes from the section's start.
        offset: u64,
    },
    /// A field in another section, which has an anchor that is a symbol, holds an address in this one.
    Field {
        /// Where the field is linked.
        at: LinkAddr,
        /// Its size: 4 or 8.
        bytes: u8,
        /// Whether it is the distance from its own place; otherwise the address, sign-extended.
        is_relative: bool,
        /// How far behind this section's start the address is.
        offset: i64,
    },
}
