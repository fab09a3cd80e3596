//! Rows of the event table.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::hook::Hook;

/// One kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Frozen number, in every trace ever written.
    pub id: u16,
    /// Name, the kernel's tracepoint name where one exists.
    pub name: String,
    /// Group of events: the category of its file.
    pub category: String,
    /// Name in the Linux Trace Toolkit, where it had one.
    pub ltt: Option<String>,
    /// One sentence.
    pub doc: String,
    /// Whether the selection `core` has it.
    pub core: bool,
    /// Whether the CPU's latest record of this event opens each of its chunks; such events are always recorded.
    pub sticky: bool,
    /// The guest's run ends with this event; such events are always recorded.
    pub end: Option<EndRow>,
    /// Where it is seen. Sites are independent of each other: each records.
    pub sites: Vec<SiteRow>,
    /// Expressions that the fields share, in order; each may use those before it.
    pub bind: Vec<BindRow>,
    /// Records only when this is not zero.
    pub when: Option<String>,
    /// The fields, in the order of the record.
    pub fields: Vec<FieldRow>,
    /// No longer recorded; the row keeps the id and the name.
    pub retired: bool,
    /// Where it is written.
    pub source: Source,
}

/// Where a row is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// In the table that guesttrace has built in, or made from the kernel's own facts.
    #[default]
    Builtin,
    /// In a file of the user's.
    File {
        /// As the user named it.
        name: String,
        /// Line of the event, from 1.
        line: usize,
    },
    /// On the command line, as a probe.
    Probe {
        /// The probe as written.
        text: String,
    },
}

/// One way to see an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteRow {
    /// Candidates: the first that the kernel has is used.
    pub hooks: Vec<Hook>,
    /// A hook that makes this site superfluous where the kernel has it.
    pub unless: Option<Hook>,
    /// Expressions, by the name of the field or binding whose own they replace here.
    pub set: BTreeMap<String, String>,
    /// A condition besides the event's own.
    pub when: Option<String>,
}

/// An expression with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindRow {
    /// The name that later expressions use.
    pub name: String,
    /// The expression; without it every site sets one.
    pub fetch: Option<String>,
    /// Line of its file, from 1; 0 when it is in none.
    pub line: usize,
}

/// One field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRow {
    /// Name, unique within the event.
    pub name: String,
    /// Type.
    pub field_type: FieldType,
    /// Unit of a quantity.
    pub unit: Option<String>,
    /// What it is.
    pub doc: String,
    /// The expression; without it every site sets one.
    pub fetch: Option<String>,
    /// Line of its file, from 1; 0 when it is in none.
    pub line: usize,
}

/// Type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `u64`: unsigned number.
    Unsigned,
    /// `i64`: signed number.
    Signed,
    /// `hex`: address or bit mask.
    Hex,
    /// `bool`: truth value.
    Bool,
    /// `tid`: a thread.
    Tid,
    /// `pid`: a process.
    Pid,
    /// `cpu`: a CPU.
    Cpu,
    /// `string`: text.
    Text,
    /// `bytes`: bytes.
    Bytes,
    /// `stack`: a call stack.
    Stack,
    /// `enum:NAME`: number with names.
    Enum(String),
}

impl FromStr for FieldType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "u64" => Self::Unsigned,
            "i64" => Self::Signed,
            "hex" => Self::Hex,
            "bool" => Self::Bool,
            "tid" => Self::Tid,
            "pid" => Self::Pid,
            "cpu" => Self::Cpu,
            "string" => Self::Text,
            "bytes" => Self::Bytes,
            "stack" => Self::Stack,
            _ => Self::Enum(text.strip_prefix("enum:").ok_or(())?.to_owned()),
        })
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsigned => "u64",
            Self::Signed => "i64",
            Self::Hex => "hex",
            Self::Bool => "bool",
            Self::Tid => "tid",
            Self::Pid => "pid",
            Self::Cpu => "cpu",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Stack => "stack",
            Self::Enum(name) => return write!(f, "enum:{name}"),
        })
    }
}

/// How a guest's run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndRow {
    /// `power_off`.
    PowerOff,
    /// `restart`.
    Restart,
    /// `halt`.
    Halt,
    /// `panic`.
    Panic,
}

impl FromStr for EndRow {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "power_off" => Ok(Self::PowerOff),
            "restart" => Ok(Self::Restart),
            "halt" => Ok(Self::Halt),
            "panic" => Ok(Self::Panic),
            _ => Err(()),
        }
    }
}

/// Names for the values of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumRow {
    /// Name by which fields refer to it.
    pub name: String,
    /// The values.
    pub values: EnumValues,
}

/// Where the names of an enumeration come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnumValues {
    /// From the table: values that no kernel changes.
    Fixed(BTreeMap<u64, String>),
    /// `source = "syscalls:x64"`: the traced kernel's own 64-bit system calls.
    SyscallsX64,
    /// `source = "syscalls:ia32"`: the traced kernel's own 32-bit system calls.
    SyscallsIa32,
}

impl EventRow {
    /// The field with that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldRow> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether it is recorded whatever was selected: readers need it to know whose an event is, or when to stop.
    #[must_use]
    pub fn is_always_recorded(&self) -> bool {
        self.sticky || self.end.is_some()
    }
}
