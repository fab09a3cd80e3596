//! Kernel image in, facts out: symbols, types, tracepoints and system calls of one build of Linux for x86-64.
//!
//! The input is the bytes of a bzImage, of a vmlinux, or of both. Everything here is about the image as linked: where a
//! running kernel moved itself is for others to find. Opens no files, starts no programs, knows nothing of QEMU.

mod address;
mod btf;
mod bytes;
mod c_type;
mod dwarf;
mod elf;
mod error;
mod identity;
mod image;
mod kallsyms;
mod kernel;
mod module;
mod name_index;
mod orc;
mod program;
mod symbols;
mod symtab;
mod syscalls;
mod tracepoints;
mod type_graph;

pub use address::LinkAddr;
pub use c_type::{Member, MemberPlace, StructType, Type, TypeId};
pub use dwarf::{LocalVariable, NoPlace, PlaceStep, SourceLine, TypeName, VariablePlace};
pub use error::{KallsymsProblem, SymbolError};
pub use identity::Identity;
pub use image::{Compression, FileKind, ImageBytes, release_of_bzimage};
pub use kernel::{Kernel, TypeOrigin};
pub use module::{Anchor, LinkedModule, LinkedSection, MODULE_LINK_BASE, ModuleFile};
pub use name_index::NameKind;
pub use orc::{Orc, OrcEncoding, OrcEntry, OrcKind, OrcRegister, OrcRule};
pub use program::{PAGE_BYTES, Program, ProgramError};
pub use symbols::{Symbol, SymbolTable};
pub use syscalls::{Abi, Syscall};
pub use tracepoints::{Tracepoint, TracepointSite};
pub use type_graph::Types;
