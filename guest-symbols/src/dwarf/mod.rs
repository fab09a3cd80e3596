//! Facts from DWARF, the debug information of a vmlinux: types, variables, and the lines of the source.
//!
//! Versions 4 and 5 as GCC and Clang write them for C. A vmlinux is linked, so its sections need no relocation. Of
//! 160 MB only what is asked for is read, behind one pass over all units (in parallel) that indexes names.

mod index;
mod lazy;
mod lines;
mod reader;
mod sections;
mod variables;

pub(crate) use lazy::LazyTypes;
pub(crate) use lines::Lines;
pub use lines::SourceLine;
pub(crate) use sections::DebugSections;
pub(crate) use variables::variables;
pub use variables::{LocalVariable, NoPlace, PlaceStep, TypeName, VariablePlace};
