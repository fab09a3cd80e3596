//! Types of a real kernel: BTF, DWARF and the tools that print them must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

use guest_symbols::{ImageBytes, Kernel, NameKind, StructType, Type, TypeId, TypeOrigin, Types};
use guesttrace_tests::{KernelFiles, kernel, skip};

fn boot_image(files: &KernelFiles) -> Kernel {
    let bytes = std::fs::read(&files.vmlinuz).expect("the kernel is readable");
    Kernel::from_vecs(Some(bytes), None).expect("a kernel")
}

/// The type as text, down to the names of structs and the like; what has no name is written out.
fn describe(types: &Types, id: TypeId) -> String {
    match types.get(id) {
        Type::Pointer(target) => format!("{} *", describe(types, *target)),
        Type::Array { element, count } => format!("{}[{count}]", describe(types, *element)),
        Type::Struct(it) if it.name.is_none() => layout(types, it),
        Type::Enum {
            name: None,
            bytes,
            values,
            ..
        } => {
            // BTF of 6.1 has 32 bits for a value.
            let values: Vec<String> = values
                .iter()
                .map(|(name, value)| format!("{name}={}", value & 0xffff_ffff))
                .collect();
            format!("enum {bytes} {{{}}}", values.join(" "))
        }
        Type::Function { returns, params } => {
            let params: Vec<String> = params.iter().map(|(_, id)| describe(types, *id)).collect();
            format!("{} ({})", describe(types, *returns), params.join(", "))
        }
        _ => types.c_name(id),
    }
}

fn layout(types: &Types, of: &StructType) -> String {
    let mut out = format!("{} {{", of.bytes);
    for member in &of.members {
        let name = member.name.as_deref().unwrap_or_default();
        let bits = member
            .bitfield_bits
            .map(|bits| format!(":{bits}"))
            .unwrap_or_default();
        write!(
            out,
            " {} {name}@{}{bits};",
            describe(types, member.type_id),
            member.bit_offset
        )
        .expect("a String");
    }
    out + " }"
}

/// All layouts by name: a name may have several, from different files.
fn layouts(types: &Types, kind: NameKind) -> BTreeMap<String, BTreeSet<String>> {
    let of = |name: &str| {
        types
            .all_named(kind, name)
            .iter()
            .map(|id| whole(types, *id))
            .collect()
    };
    types
        .names(kind)
        .into_iter()
        .map(|name| (name.to_owned(), of(name)))
        .collect()
}

fn whole(types: &Types, id: TypeId) -> String {
    match types.get(id) {
        Type::Struct(it) => layout(types, it),
        Type::Typedef { target, .. } => describe(types, *target),
        Type::Enum { bytes, values, .. } => {
            let values: Vec<String> = values
                .iter()
                .map(|(name, value)| format!("{name}={}", value & 0xffff_ffff))
                .collect();
            format!("enum {bytes} {{{}}}", values.join(" "))
        }
        _ => describe(types, id),
    }
}

/// The names whose layouts differ, and how.
fn compare(btf: &Types, dwarf: &Types, kind: NameKind) -> (usize, Vec<String>) {
    let (btf, dwarf) = (layouts(btf, kind), layouts(dwarf, kind));
    let differing = btf
        .iter()
        .filter(|(name, layouts)| dwarf.get(*name) != Some(layouts));
    let differing = differing.map(|(name, layouts)| {
        format!(
            "{name}:\n  btf   {layouts:?}\n  dwarf {:?}",
            dwarf.get(name)
        )
    });
    (btf.len(), differing.collect())
}

/// A function's prototype with the names of its parameters.
fn prototype(types: &Types, id: TypeId) -> String {
    let Type::Function { returns, params } = types.get(id) else {
        return "no function".to_owned();
    };
    let params = params.iter().map(|(name, id)| {
        format!(
            "{} {}",
            describe(types, *id),
            name.as_deref().unwrap_or("-")
        )
    });
    format!(
        "{} ({})",
        describe(types, *returns),
        params.collect::<Vec<_>>().join(", ")
    )
}

/// Functions of BTF that DWARF describes in no such way. BTF has one of the static functions that share a name, and
/// knows no parameters of those in assembly.
fn compare_functions(btf: &Types, dwarf: &Types) -> (usize, Vec<String>) {
    let all = |types: &Types, name: &str| -> Vec<String> {
        types
            .all_named(NameKind::Function, name)
            .iter()
            .map(|id| prototype(types, *id))
            .collect()
    };
    let names = btf.names(NameKind::Function);
    let differ = |name: &&str| {
        let (one, many) = (all(btf, name), all(dwarf, name));
        let known = one.iter().all(|it| it == "void ()" || many.contains(it));
        (!known).then(|| format!("{name}: {one:?} | {many:?}"))
    };
    (names.len(), names.iter().filter_map(differ).collect())
}

#[test]
fn dwarf_and_btf_describe_the_same_types() {
    let Some(files) = kernel("6.1-cloud-amd64") else {
        skip!("kernel 6.1-cloud-amd64 was not fetched")
    };
    let Some(vmlinux) = &files.vmlinux else {
        skip!("vmlinux of 6.1-cloud-amd64 was not fetched")
    };
    let image = boot_image(&files);
    let bytes = ImageBytes::new(std::fs::read(vmlinux).unwrap());
    let debug = Kernel::from_images(None, Some(bytes), TypeOrigin::Dwarf).unwrap();
    for kind in [
        NameKind::Struct,
        NameKind::Union,
        NameKind::Enum,
        NameKind::Typedef,
    ] {
        let (count, differing) = compare(image.types(), debug.types(), kind);
        // BTF gives an enumeration that is only declared as one without values; and one source is compiled twice, with
        // two meanings of one name.
        let differing: Vec<String> = differing
            .into_iter()
            .filter(|it| !it.contains(r#"{"enum 4 {}"}"#))
            .filter(|it| !it.starts_with("elf_note_info:"))
            .collect();
        let some = differing[..differing.len().min(6)].join("\n");
        assert!(
            differing.is_empty(),
            "{} of {count} of {kind:?} differ:\n{some}",
            differing.len()
        );
    }
    let (count, differing) = compare_functions(image.types(), debug.types());
    // Functions of the source that is compiled twice.
    let twice = ["elf_load:", "elf_map:", "load_elf_phdrs:"];
    let known = |it: &String| twice.iter().any(|name| it.starts_with(name));
    let differing: Vec<String> = differing.into_iter().filter(|it| !known(it)).collect();
    assert!(
        differing.is_empty(),
        "{} of {count} functions differ:\n{}",
        differing.len(),
        differing.join("\n")
    );
    compare_facts(&image, &debug);
}

/// What follows from types must not depend on where they came from.
fn compare_facts(image: &Kernel, debug: &Kernel) {
    assert_eq!(
        image.syscalls().expect("system calls").len(),
        debug.syscalls().expect("system calls").len()
    );
    for (one, other) in image
        .syscalls()
        .expect("system calls")
        .iter()
        .zip(debug.syscalls().expect("system calls"))
    {
        // DWARF knows more: the prototypes of inlined 32-bit calls.
        assert_eq!(
            (one.abi, one.number, &one.name, one.function),
            (other.abi, other.number, &other.name, other.function)
        );
        assert!(
            one.arguments.is_empty() || one.arguments == other.arguments,
            "{one:?} {other:?}"
        );
    }
    let (ones, others) = (
        image.tracepoints().expect("tracepoints"),
        debug.tracepoints().expect("tracepoints"),
    );
    assert_eq!(ones.len(), others.len());
    for (one, other) in ones.iter().zip(others) {
        assert_eq!(
            (&one.name, &one.system, &one.sites),
            (&other.name, &other.system, &other.sites)
        );
        let text = |kernel: &Kernel, id: Option<TypeId>| id.map(|id| prototype(kernel.types(), id));
        let types = |text: Option<String>| text.map(|it| it.replace(" -", ""));
        assert_eq!(
            types(text(image, one.prototype)),
            types(text(debug, other.prototype)),
            "{}",
            one.name
        );
    }
}

/// One line of `bpftool btf dump`: `[1] STRUCT 'list_head' size=16 vlen=2`, or a member below it.
fn field<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    line.split(' ')
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn check_member(types: &Types, of: &StructType, number: usize, line: &str) {
    let member = &of.members[number];
    let name = line.split('\'').nth(1).filter(|name| *name != "(anon)");
    let bits: Option<u64> = field(line, "bits_offset").map(|it| it.parse().expect("a number"));
    let width: Option<u8> = field(line, "bitfield_size").map(|it| it.parse().expect("a number"));
    assert_eq!(
        (
            member.name.as_deref(),
            Some(member.bit_offset),
            member.bitfield_bits
        ),
        (name, bits, width),
        "{line}"
    );
    assert!(*types.get(member.type_id) != Type::Void, "{line}");
}

/// Kernels that every checkout tests; the others only where they were fetched.
const REQUIRED: [&str; 3] = ["6.1-amd64", "6.1-cloud-amd64", "6.12-amd64"];
const OTHERS: [&str; 3] = ["5.10-amd64", "6.1-rt-amd64", "7.2-amd64"];

#[test]
fn structs_and_enums_are_those_that_bpftool_prints() {
    if Command::new("bpftool").arg("version").output().is_err() {
        skip!("bpftool is not installed");
    }
    for name in REQUIRED {
        let Some(files) = kernel(name) else {
            skip!("kernel {name} was not fetched")
        };
        check_against_bpftool(&files);
    }
    for files in OTHERS.iter().filter_map(|name| kernel(name)) {
        check_against_bpftool(&files);
    }
}

fn check_against_bpftool(files: &KernelFiles) {
    let kernel = boot_image(files);
    let types = kernel.types();
    let mut elf = tempfile::NamedTempFile::new().expect("a temporary file");
    std::io::Write::write_all(&mut elf, kernel.elf()).expect("written");
    let output = Command::new("bpftool")
        .args(["btf", "dump", "file"])
        .arg(elf.path())
        .output();
    let text = String::from_utf8(output.expect("bpftool runs").stdout).expect("text");
    let (mut open, mut number, mut structs, mut values) = (None, 0, 0, 0);
    for line in text.lines() {
        if let Some(member) = line.strip_prefix('\t') {
            match open.map(|id| types.get(id)) {
                Some(Type::Struct(it)) => check_member(types, it, number, member),
                Some(Type::Enum { values, .. }) => check_enumerator(&values[number], member),
                _ => continue,
            }
            number += 1;
            values += 1;
            continue;
        }
        let id = line
            .split(['[', ']'])
            .nth(1)
            .and_then(|id| id.parse().ok())
            .map(TypeId);
        let kind = line.split(' ').nth(1).unwrap_or_default();
        open = id.filter(|_| matches!(kind, "STRUCT" | "UNION" | "ENUM" | "ENUM64"));
        number = 0;
        if let Some(Type::Struct(it)) = open.map(|id| types.get(id)) {
            assert_eq!(
                Some(it.bytes),
                field(line, "size").and_then(|it| it.parse().ok()),
                "{line}"
            );
            assert_eq!(it.is_union, kind == "UNION");
            structs += 1;
        }
    }
    assert!(
        structs > 7000 && values > 60_000,
        "{}: {structs} structs, {values} members and values",
        files.name
    );
}

fn check_enumerator((name, found): &(String, i64), line: &str) {
    let value = field(line, "val")
        .expect("a value")
        .trim_end_matches("ULL")
        .trim_end_matches("LL");
    let value: i128 = value.parse().expect("a number");
    let is_same = i128::from(*found) == value || i128::from(found.cast_unsigned()) == value;
    assert!(
        is_same && line.contains(&format!("'{name}'")),
        "{line}: {found}"
    );
}
