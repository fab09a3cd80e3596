//! The system calls of a kernel: number, name, function and arguments.
//!
//! Relies on `arch/x86/entry/syscall_64.c` (4.17 to the last tested): `sys_call_table` holds the functions by number,
//! named `__x64_sys_*`; since 6.9 it is kept for tracing alone, with the same content. The 32-bit table
//! `ia32_sys_call_table` is gone from there and from the stable series: see `ia32`.

mod arguments;
mod ia32;

use crate::bytes::u64_at;
use crate::{Kernel, LinkAddr, SymbolError};

/// Whose numbers a system call belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// 64-bit programs: the `syscall` instruction.
    X64,
    /// 32-bit programs: `int 0x80` and 32-bit `sysenter`.
    Ia32,
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Whose number it is.
    pub abi: Abi,
    /// Its number.
    pub number: u32,
    /// As user space calls it, such as `openat`.
    pub name: String,
    /// The function that serves it, which takes `struct pt_regs *`; none when that cannot be told.
    pub function: Option<LinkAddr>,
    /// Names and types of its arguments as the source declares them; empty when it has none or they are not known.
    pub arguments: Vec<(String, String)>,
}

/// More entries than any table will have for a long time.
const ENTRIES_MAX: usize = 4096;

/// Reads the system calls of both ABIs, by ABI and number.
pub(crate) fn read(kernel: &Kernel) -> Result<Vec<Syscall>, SymbolError> {
    const PURPOSE: &str = "the numbers of the system calls";
    let name = "sys_call_table";
    let table = kernel
        .symbols()
        .address(name)
        .ok_or(SymbolError::MissingSymbol {
            name,
            purpose: PURPOSE,
        })?;
    let entries = functions(kernel, table, "__x64_");
    if entries.is_empty() {
        return Err(SymbolError::OutsideImage {
            what: name,
            addr: table.0,
            len: 8,
        });
    }
    let declared = arguments::Declarations::read(kernel);
    let mut out = Vec::new();
    for (number, addr, function) in entries {
        let Some(base) = function
            .strip_prefix("sys_")
            .filter(|base| *base != "ni_syscall")
        else {
            continue;
        };
        let arguments = declared.of(kernel, function);
        out.push(Syscall {
            abi: Abi::X64,
            number,
            name: x64_name(base).to_owned(),
            function: Some(addr),
            arguments,
        });
    }
    let ia32 = ia32::read(kernel, &declared, &out);
    out.extend(ia32);
    Ok(out)
}

/// What user space calls the system call that `sys_<base>` serves: the kernel's own names differ where a newer version
/// took the old number's place (`arch/x86/entry/syscalls/syscall_64.tbl`; frozen).
fn x64_name(base: &str) -> &str {
    match base {
        "newstat" => "stat",
        "newfstat" => "fstat",
        "newlstat" => "lstat",
        "newuname" => "uname",
        "umount" => "umount2",
        "sendfile64" => "sendfile",
        "sysctl" => "_sysctl",
        other => other,
    }
}

/// The numbers, addresses and names (behind `prefix`) of the functions in a table of pointers, up to its first entry
/// that is no system call.
fn functions<'k>(
    kernel: &'k Kernel,
    table: LinkAddr,
    prefix: &str,
) -> Vec<(u32, LinkAddr, &'k str)> {
    let bytes = kernel.rest(table).unwrap_or_default();
    let size = kernel
        .symbols()
        .at(table)
        .map_or(0, |(symbol, _)| symbol.size);
    let limit = usize::try_from(size / 8).unwrap_or(0).min(ENTRIES_MAX);
    let entries = bytes.chunks_exact(8).take(limit).map_while(|word| {
        let addr = LinkAddr(u64_at(word, 0)?);
        Some((addr, function_at(kernel, addr, prefix)?))
    });
    (0..)
        .zip(entries)
        .map(|(number, (addr, name))| (number, addr, name))
        .collect()
}

/// The name, behind `prefix`, of the system call's function at that address: aliases for other ABIs share it.
fn function_at<'k>(kernel: &'k Kernel, addr: LinkAddr, prefix: &str) -> Option<&'k str> {
    let names = kernel.symbols().exactly_at(addr).map(|symbol| symbol.name);
    let mut served = names.filter_map(|name| {
        name.strip_prefix(prefix)
            .or((name == "sys_ni_syscall").then_some(name))
    });
    served.find(|name| name.contains("sys_"))
}
