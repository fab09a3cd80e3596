//! What can be wrong with a kernel image, with the facts a message needs.

use crate::image::{Compression, FileKind};

/// Why facts about a kernel could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SymbolError {
    /// Neither a kernel nor a vmlinux was given.
    #[error("no kernel image given\nhint: pass the bzImage (vmlinuz) or the vmlinux of the guest")]
    NoInput,
    /// The file is something else.
    #[error("not an x86-64 Linux kernel: the file is {found}\nhint: {}", found.hint())]
    NotAKernel {
        /// What it seems to be instead.
        found: FileKind,
    },
    /// The file ends before what its headers promise.
    #[error(
        "the kernel image is cut short: {what} needs bytes {start:#x}..{end:#x}, the file has {available:#x}\n\
         hint: fetch or copy the file again"
    )]
    Truncated {
        /// The part that is not whole.
        what: &'static str,
        /// Offset of its first byte.
        start: u64,
        /// Offset past its last byte.
        end: u64,
        /// Bytes in the file.
        available: u64,
    },
    /// The payload starts with bytes of no known compression.
    #[error(
        "the kernel's payload is packed in an unknown way (it starts with {magic:02x?})\n\
         hint: unpack it yourself and pass the vmlinux"
    )]
    UnknownCompression {
        /// The payload's first bytes.
        magic: Vec<u8>,
    },
    /// The payload does not unpack.
    #[error(
        "the kernel's {method} payload does not unpack\nhint: the file is damaged; fetch or copy it again"
    )]
    Unpack {
        /// How it is packed.
        method: Compression,
        /// What the unpacker says.
        source: std::io::Error,
    },
    /// The payload unpacks to another size than the image states.
    #[error(
        "the kernel's {method} payload unpacks to {found} bytes where the image states {expected}\n\
         hint: the file is damaged; fetch or copy it again"
    )]
    UnpackedSize {
        /// How it is packed.
        method: Compression,
        /// Size stated at the end of the payload.
        expected: u64,
        /// Bytes that came out, at most one more than expected.
        found: u64,
    },
    /// The ELF headers make no sense.
    #[error(
        "the kernel's ELF headers cannot be read\nhint: the file is damaged; fetch or copy it again"
    )]
    Elf {
        /// What the parser says.
        source: goblin::error::Error,
    },
    /// There is neither a symbol table nor a readable kallsyms.
    #[error(
        "no symbols in the kernel: it has no symbol table, and {problem}\n\
         hint: pass --vmlinux of the same build, or use a kernel with CONFIG_KALLSYMS_ALL"
    )]
    NoSymbols {
        /// Why kallsyms cannot be used.
        problem: KallsymsProblem,
    },
    /// There are no types.
    #[error(
        "the kernel has no type information: no .BTF section and no DWARF\n\
         hint: pass --vmlinux with debug information, or use a kernel with CONFIG_DEBUG_INFO_BTF"
    )]
    NoTypes,
    /// DWARF was asked for and is not there.
    #[error(
        "the kernel image has no DWARF (.debug_info)\nhint: pass --vmlinux from the kernel's debug package"
    )]
    NoDwarf,
    /// The BTF section cannot be read.
    #[error("the kernel's .BTF section is malformed at offset {offset:#x}: {problem}")]
    Btf {
        /// Offset in the section.
        offset: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A symbol that the reading starts from is missing.
    #[error(
        "symbol \"{name}\" not found, needed for {purpose}\n\
         hint: pass --vmlinux of the same build, or use a kernel with CONFIG_KALLSYMS_ALL"
    )]
    MissingSymbol {
        /// The symbol.
        name: &'static str,
        /// What it is for.
        purpose: &'static str,
    },
    /// A table of the kernel lies outside the bytes of the image.
    #[error("{what} at {addr:#x} (+{len:#x}) is not in the kernel image's file bytes")]
    OutsideImage {
        /// The table.
        what: &'static str,
        /// Its link address.
        addr: u64,
        /// Its length in bytes.
        len: u64,
    },
    /// The file is no kernel module.
    #[error(
        "not an x86-64 kernel module: the file is {found}\nhint: pass a .ko file of the guest's kernel"
    )]
    NotAModule {
        /// What it seems to be instead.
        found: FileKind,
    },
    /// The module was built for another kernel.
    #[error(
        "module {module} is for Linux {module_release}, the kernel is {kernel_release}\n\
         hint: pass the modules of that kernel (/lib/modules/{kernel_release})"
    )]
    ModuleMismatch {
        /// Name of the module.
        module: String,
        /// `uname -r` of the kernel that it is for.
        module_release: String,
        /// `uname -r` of the kernel.
        kernel_release: String,
    },
    /// The module states a size that none has.
    #[error(
        "the module takes {bytes:#x} bytes of memory, more than {max:#x}\nhint: the file is damaged"
    )]
    ModuleTooLarge {
        /// Bytes of its sections.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The kernel's unwind tables are written in a way that is not known.
    #[error(
        "the kernel's ORC tables number the registers in an unknown way (most frames are found from number {stack_pointer})\n\
         hint: leave out the stacks of the kernel"
    )]
    UnknownOrc {
        /// The number that should stand for the stack pointer.
        stack_pointer: usize,
    },
    /// The two files are not of one build.
    #[error(
        "the kernel and the vmlinux are of different builds:\n  kernel  {kernel_id} ({kernel_release})\n  \
         vmlinux {vmlinux_id} ({vmlinux_release})\nhint: pass the vmlinux from the debug package of exactly that kernel"
    )]
    BuildMismatch {
        /// Build id of the kernel, in hex.
        kernel_id: String,
        /// `uname -r` of the kernel.
        kernel_release: String,
        /// Build id of the vmlinux, in hex.
        vmlinux_id: String,
        /// `uname -r` of the vmlinux.
        vmlinux_release: String,
    },
}

/// Why the kernel's own symbol table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KallsymsProblem {
    /// No token table of 256 entries with its index.
    #[error(
        "its kallsyms token table is not found (CONFIG_KALLSYMS off, or a layout this version does not know)"
    )]
    NoTokenTable,
    /// No names before the token table whose markers agree.
    #[error(
        "its kallsyms names are not found before the token table at file offset {token_table:#x}"
    )]
    NoNames {
        /// File offset of the token table.
        token_table: usize,
    },
    /// No table of addresses in any known layout passes the checks.
    #[error(
        "none of the known kallsyms address layouts gives plausible addresses for its {symbols} names \
         (closest: {closest})"
    )]
    NoAddresses {
        /// Number of names.
        symbols: u32,
        /// What failed in the layout that came furthest.
        closest: &'static str,
    },
}
