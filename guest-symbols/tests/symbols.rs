//! Symbols of real kernels against `nm`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use guest_symbols::{Kernel, LinkAddr};
use guesttrace_tests::{KernelFiles, kernel, skip};

fn nm(vmlinux: &Path) -> BTreeSet<(u64, char, String)> {
    let output = Command::new("nm").arg(vmlinux).output().expect("nm runs");
    let text = String::from_utf8(output.stdout).expect("symbol names are text");
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let addr = u64::from_str_radix(words.next()?, 16).ok()?;
        Some((
            addr,
            words.next()?.chars().next()?,
            words.next()?.to_owned(),
        ))
    };
    text.lines().filter_map(parse).collect()
}

fn symbols(kernel: &Kernel) -> BTreeSet<(u64, char, String)> {
    kernel
        .symbols()
        .iter()
        .map(|it| (it.addr.0, it.kind, it.name.to_owned()))
        .collect()
}

#[test]
fn kallsyms_of_the_boot_image_agree_with_nm() {
    let Some(files) = kernel("6.1-cloud-amd64") else {
        skip!("kernel 6.1-cloud-amd64 was not fetched")
    };
    let Some(vmlinux) = files.vmlinux else {
        skip!("vmlinux of 6.1-cloud-amd64 was not fetched")
    };
    let kernel = Kernel::from_bytes(Some(&std::fs::read(files.vmlinuz).unwrap()), None).unwrap();
    let truth = nm(&vmlinux);
    let found = symbols(&kernel);
    let per_cpu_end = kernel.symbols().address("__per_cpu_end").unwrap();
    for (addr, kind, name) in &found {
        // kallsyms calls per-CPU symbols absolute; nm knows their section.
        let same_kind = truth.contains(&(*addr, *kind, name.clone()));
        let per_cpu = *kind == 'A' && *addr <= per_cpu_end.0;
        let any_kind = || truth.iter().any(|(at, _, it)| at == addr && it == name);
        assert!(
            same_kind || (per_cpu && any_kind()),
            "{addr:#x} {kind} {name} is not what nm says"
        );
    }
    // What scripts/kallsyms.c leaves out by name, and absolute symbols; everything else must be there.
    let left_out = |kind: char, name: &str| {
        let prefixes = [
            "__crc_",
            "kallsyms_",
            "__kcfi_typeid_",
            ".L",
            "__pi_.L",
            "__ksymtab_",
            "__kstrtab",
            "$",
            "__UNIQUE_ID_",
        ];
        kind.eq_ignore_ascii_case(&'a') || prefixes.iter().any(|it| name.starts_with(it))
    };
    let missing: Vec<_> = truth
        .difference(&found)
        .filter(|(addr, kind, name)| *addr > per_cpu_end.0 && !left_out(*kind, name))
        .collect();
    assert!(
        missing.is_empty(),
        "{} missing, such as {:?}",
        missing.len(),
        &missing[..missing.len().min(20)]
    );
    assert_eq!(kernel.identity().release, files.release);
}

#[test]
fn the_symbol_table_agrees_with_nm() {
    let Some(files) = kernel("6.1-cloud-amd64") else {
        skip!("kernel 6.1-cloud-amd64 was not fetched")
    };
    let Some(vmlinux) = files.vmlinux else {
        skip!("vmlinux of 6.1-cloud-amd64 was not fetched")
    };
    let truth = nm(&vmlinux);
    let kernel = Kernel::from_vecs(None, Some(std::fs::read(vmlinux).unwrap())).unwrap();
    let found = symbols(&kernel);
    let differing: Vec<_> = truth.symmetric_difference(&found).collect();
    assert!(
        differing.is_empty(),
        "{} differ, such as {:?}",
        differing.len(),
        &differing[..differing.len().min(20)]
    );
}

/// Kernels that every checkout tests; the others only where they were fetched.
const REQUIRED: [&str; 3] = ["6.1-amd64", "6.1-cloud-amd64", "6.12-amd64"];
const OTHERS: [&str; 3] = ["5.10-amd64", "6.1-rt-amd64", "7.2-amd64"];

#[test]
fn an_address_is_named_by_the_function_it_lies_in() {
    for name in REQUIRED {
        let Some(files) = kernel(name) else {
            skip!("kernel {name} was not fetched")
        };
        check_schedule(&files);
    }
    OTHERS
        .iter()
        .filter_map(|name| kernel(name))
        .for_each(|files| check_schedule(&files));
}

fn check_schedule(files: &KernelFiles) {
    let bytes = std::fs::read(&files.vmlinuz).expect("the kernel is readable");
    let kernel = Kernel::from_bytes(Some(&bytes), None).expect("a kernel");
    let symbols = kernel.symbols();
    assert_eq!(kernel.identity().release, files.release);
    let schedule = symbols.address("schedule").expect("schedule");
    let (symbol, offset) = symbols.at(LinkAddr(schedule.0 + 1)).expect("a symbol");
    assert_eq!((symbol.name, symbol.kind, offset), ("schedule", 'T', 1));
    assert!(symbol.size > 16);
    assert_eq!(symbols.at(LinkAddr(0xffff_8880_0000_0000)), None);
    assert_eq!(symbols.at(LinkAddr(u64::MAX)), None);
    let (text, _) = kernel.code().next().expect("code");
    assert_eq!(symbols.address("_text"), Some(text));
    // Per-CPU variables lie in the area that the linker made for them.
    let current = kernel
        .per_cpu("current_task")
        .or_else(|| kernel.per_cpu("pcpu_hot"))
        .expect("a per-CPU variable");
    assert_eq!(
        kernel.per_cpu_moves_with_image(),
        current > u64::from(u32::MAX)
    );
    assert_eq!(kernel.per_cpu("schedule"), None);
}
