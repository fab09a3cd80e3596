//! System calls of 32-bit programs.
//!
//! Numbers and names of the i386 ABI up to 423 are frozen and stand in `i386.txt` (from `asm/unistd_32.h`); from 424
//! on all machines share their numbers (Linux 5.1). Where the kernel has `ia32_sys_call_table` it says which function
//! serves a number. Elsewhere a switch does, and the function is found by its name: what serves a 32-bit call is
//! named after it with a mark for why it is not the 64-bit one (`compat_`, `_time32`, `16`, ...).

use super::arguments::Declarations;
use super::{Abi, Syscall, functions};
use crate::{Kernel, LinkAddr};

/// The frozen table: a number and a name in each line.
const I386: &str = include_str!("i386.txt");
/// From here on a number means the same on all machines.
const SHARED_FROM: u32 = 424;

/// The 32-bit system calls, by number; none on a kernel that does not run 32-bit programs.
pub(super) fn read(kernel: &Kernel, declared: &Declarations, x64: &[Syscall]) -> Vec<Syscall> {
    if kernel
        .symbols()
        .address("__ia32_compat_sys_ioctl")
        .is_none()
    {
        return Vec::new();
    }
    let table = kernel.symbols().address("ia32_sys_call_table");
    let table = table
        .map(|at| functions(kernel, at, "__ia32_"))
        .unwrap_or_default();
    let shared = x64
        .iter()
        .filter(|it| it.number >= SHARED_FROM)
        .map(|it| (it.number, it.name.as_str()));
    let mut out = Vec::new();
    for (number, name) in frozen().chain(shared) {
        let entry = match table.iter().find(|(at, ..)| *at == number) {
            Some((_, addr, function)) => Some((*addr, *function))
                .filter(|(_, function)| !function.ends_with("sys_ni_syscall")),
            None if table.is_empty() => by_name(kernel, name),
            None => None,
        };
        let arguments = entry
            .map(|(_, function)| declared.of(kernel, function))
            .unwrap_or_default();
        let function = entry.map(|(addr, _)| addr);
        out.push(Syscall {
            abi: Abi::Ia32,
            number,
            name: name.to_owned(),
            function,
            arguments,
        });
    }
    out
}

fn frozen<'a>() -> impl Iterator<Item = (u32, &'a str)> {
    I386.lines().filter_map(|line| {
        let (number, name) = line.split_once(' ')?;
        Some((number.parse().ok()?, name))
    })
}

/// The function that serves the call of that name, and its name behind `__ia32_`.
fn by_name<'k>(kernel: &'k Kernel, name: &str) -> Option<(LinkAddr, &'k str)> {
    candidates(name).iter().find_map(|candidate| {
        // A weak one only says that the call is not built into this kernel, often for x32 or another machine.
        let mut symbols = kernel.symbols().all(&format!("__ia32_{candidate}"));
        let symbol = symbols.find(|symbol| symbol.kind != 'W')?;
        Some((symbol.addr, symbol.name.strip_prefix("__ia32_")?))
    })
}

/// Function names that may serve a call, the most special first.
fn candidates(name: &str) -> Vec<String> {
    // Calls whose first version kept the plain name of its function while the second took over the name of the call.
    let renamed = match name {
        "oldstat" => Some("sys_stat"),
        "oldfstat" => Some("sys_fstat"),
        "oldlstat" => Some("sys_lstat"),
        "olduname" => Some("sys_uname"),
        "oldolduname" => Some("sys_olduname"),
        "umount" => Some("sys_oldumount"),
        "umount2" => Some("sys_umount"),
        "uname" => Some("sys_newuname"),
        "_newselect" => Some("compat_sys_select"),
        "ugetrlimit" => Some("compat_sys_getrlimit"),
        "mmap2" => Some("sys_mmap_pgoff"),
        "fcntl" => Some("compat_sys_fcntl64"),
        "getrlimit" => Some("compat_sys_old_getrlimit"),
        "select" => Some("compat_sys_old_select"),
        "readdir" => Some("compat_sys_old_readdir"),
        "sendfile64" => Some("sys_sendfile64"),
        "epoll_pwait" => Some("sys_epoll_pwait"),
        "io_pgetevents" => Some("compat_sys_io_pgetevents"),
        _ => None,
    };
    if let Some(function) = renamed {
        return vec![function.to_owned()];
    }
    let plain = name.trim_start_matches('_');
    let mut out: Vec<String> = Vec::new();
    let mut push = |head: &str, base: &str, tail: &str| out.push(format!("{head}{base}{tail}"));
    // `_time64` and `32` mark the call that i386 added later; it is often the one that 64-bit programs always had.
    let bases = [
        Some(plain),
        plain.strip_suffix("_time64"),
        plain.strip_suffix("64"),
        plain.strip_suffix("32"),
    ];
    for base in bases.into_iter().flatten() {
        for (head, tail) in [
            ("compat_sys_x86_", ""),
            ("compat_sys_ia32_", ""),
            ("sys_ia32_", ""),
            ("compat_sys_new", ""),
            ("compat_sys_", "_time32"),
            ("sys_", "_time32"),
            ("compat_sys_", "32"),
            ("sys_", "32"),
            ("sys_", "16"),
            ("compat_sys_", ""),
            ("sys_", ""),
        ] {
            // A call of 64-bit times has no use for the variants of 32-bit times.
            let is_later = base != plain;
            if !is_later || tail.is_empty() {
                push(head, base, tail);
            }
        }
    }
    out
}
