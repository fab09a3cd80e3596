//! Modules of real kernels, against what binutils and bpftool say of the same files.

use std::path::{Path, PathBuf};
use std::process::Command;

use guest_symbols::{ImageBytes, Kernel, MODULE_LINK_BASE, ModuleFile, Type};
use guesttrace_tests::{kernel, skip};

/// Whether that kernel's modules have BTF: since 5.11.
const REQUIRED: [(&str, bool); 2] = [("6.1-amd64", true), ("6.12-amd64", true)];
const OTHERS: [(&str, bool); 2] = [("7.2-amd64", true), ("5.10-amd64", false)];

fn find(dir: &Path, stem: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.flatten();
    let mut dirs = Vec::new();
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            dirs.push(path);
        } else if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.split(".ko").next() == Some(stem))
        {
            return Some(path);
        }
    }
    dirs.iter().find_map(|dir| find(dir, stem))
}

fn unpacked(path: &Path) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let tool = if path.extension().is_some_and(|it| it == "xz") {
        "xzcat"
    } else {
        "cat"
    };
    let out = Command::new(tool)
        .arg(path)
        .output()
        .expect("the file unpacks");
    std::fs::write(file.path(), out.stdout).expect("room");
    file
}

fn output(program: &str, arguments: &[&str], file: &Path) -> String {
    let out = Command::new(program).args(arguments).arg(file).output();
    String::from_utf8(out.expect("binutils").stdout).expect("text")
}

fn check(name: &str, vmlinuz: &Path, has_types: bool) {
    let bytes = std::fs::read(vmlinuz).expect("the kernel is readable");
    let base = Kernel::from_vecs(Some(bytes), None).expect("a kernel");
    let dir = vmlinuz
        .parent()
        .expect("a directory")
        .join("modules/kernel");
    let path = find(&dir, "jbd2").expect("the module");
    let file =
        ModuleFile::parse(ImageBytes::new(std::fs::read(&path).expect("bytes"))).expect("a module");
    assert_eq!(file.name(), "jbd2");
    let plain = unpacked(&path);
    let notes = output("readelf", &["-n"], plain.path());
    assert!(notes.contains(file.build_id()) && file.build_id().len() == 40);
    let view = base.with_module(&file, MODULE_LINK_BASE).expect("it links");
    let module = view.module().expect("a module");

    // Functions: as many as nm has, each at its offset in a section of code.
    let listing = output("nm", &[], plain.path());
    let functions: Vec<(u64, &str)> = listing
        .lines()
        .filter_map(|line| {
            let (addr, rest) = line.split_once(' ')?;
            let name = rest.strip_prefix(['t', 'T'])?.trim();
            Some((u64::from_str_radix(addr, 16).ok()?, name))
        })
        .collect();
    assert!(functions.len() > 100, "{name}: nm has {}", functions.len());
    for (offset, function) in &functions {
        let holds = view.symbols().all(function).any(|symbol| {
            module
                .sections()
                .iter()
                .any(|section| section.is_code && section.addr.0 + offset == symbol.addr.0)
        });
        assert!(holds, "{name}: {function}");
    }

    // Tracepoints: all that the module defines, with a nop at each site.
    let defined = listing
        .lines()
        .filter(|line| line.contains(" D __tracepoint_"))
        .count();
    let tracepoints = view.tracepoints().expect("tracepoints");
    let own: Vec<_> = tracepoints.iter().filter(|it| !it.is_foreign).collect();
    assert_eq!(own.len(), defined, "{name}");
    assert!(defined >= 15);
    for it in own {
        assert_eq!(it.system.as_deref(), Some("jbd2"), "{name}: {}", it.name);
        assert_eq!(it.prototype.is_some(), has_types, "{name}: {}", it.name);
        assert!(!it.sites.is_empty(), "{name}: {}", it.name);
        for site in &it.sites {
            let code = view.read(site.code, 2).expect("code");
            assert!(
                matches!(code, [0x0f, 0x1f] | [0x66, 0x90] | [0xe9 | 0xeb, _]),
                "{code:02x?}"
            );
        }
    }
    if has_types {
        let types = view.types();
        let id = types
            .struct_named("jbd2_journal_handle")
            .or(types.struct_named("jbd2_inode"));
        assert!(id.is_some(), "{name}: a struct of the base");
        let function = types
            .function("jbd2_journal_commit_transaction")
            .expect("a function");
        let Type::Function { params, .. } = types.get(function) else {
            panic!("{name}")
        };
        assert_eq!(params[0].0.as_deref(), Some("journal"));
        assert_eq!(types.c_name(params[0].1), "journal_t *");
    }
}

#[test]
fn a_module_is_linked_in_front_of_its_kernel() {
    for (name, has_types) in REQUIRED {
        let Some(files) = kernel(name) else {
            skip!("kernel {name} was not fetched")
        };
        check(name, &files.vmlinuz, has_types);
    }
    for (name, has_types) in OTHERS {
        if let Some(files) = kernel(name) {
            check(name, &files.vmlinuz, has_types);
        }
    }
}

#[test]
fn what_is_no_module_is_named() {
    let parse = |bytes: &[u8]| ModuleFile::parse(ImageBytes::new(bytes.to_vec())).unwrap_err();
    assert!(
        parse(b"hello\n")
            .to_string()
            .starts_with("not an x86-64 kernel module: the file is")
    );
    assert!(parse(&[]).to_string().contains("hint: pass a .ko file"));
    assert!(
        parse(b"\x1f\x8b nonsense")
            .to_string()
            .contains("does not unpack")
    );
}
