//! Symbols of real kernels against `nm`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use guest_symbols::Kernel;
use guesttrace_tests::{kernel, skip};

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

#[test]
fn an_address_is_named_by_the_function_it_lies_in() {
    for name in ["6.1-amd64", "6.1-cloud-amd64", "6.12-amd64"] {
        let Some(files) = kernel(name) else {
            skip!("kernel {name} was not fetched")
        };
        let kernel =
            Kernel::from_bytes(Some(&std::fs::read(files.vmlinuz).unwrap()), None).unwrap();
        let symbols = kernel.symbols();
        assert_eq!(kernel.identity().release, files.release);
        let schedule = symbols.address("schedule").unwrap();
        let (symbol, offset) = symbols.at(guest_symbols::LinkAddr(schedule.0 + 1)).unwrap();
        assert_eq!((symbol.name, symbol.kind, offset), ("schedule", 'T', 1));
        assert!(symbol.size > 16);
        assert_eq!(
            symbols.at(guest_symbols::LinkAddr(0xffff_8880_0000_0000)),
            None
        );
        assert_eq!(symbols.at(guest_symbols::LinkAddr(u64::MAX)), None);
        let (text, _) = kernel.code().next().unwrap();
        assert_eq!(symbols.address("_text"), Some(text));
    }
}
