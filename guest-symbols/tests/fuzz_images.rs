//! Kernel images damaged by chance: an error or a best effort, never a panic or endless work.

use guest_symbols::{ImageBytes, Kernel, LinkAddr, NameKind, Type, TypeOrigin};
use guesttrace_tests::fuzz;

const FILES: [&[u8]; 3] = [
    include_bytes!("fixtures/mini-dwarf4.elf"),
    include_bytes!("fixtures/mini-dwarf5.elf"),
    include_bytes!("fixtures/mini-compressed.elf"),
];
const KINDS: [NameKind; 6] = [
    NameKind::Struct,
    NameKind::Union,
    NameKind::Enum,
    NameKind::Typedef,
    NameKind::Function,
    NameKind::Variable,
];
/// No answer about a file of 14 KB is longer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Asks for everything; what it is does not matter.
fn ask_all(kernel: &Kernel) {
    let types = kernel.types();
    for kind in KINDS {
        for name in types.names(kind) {
            for id in types.all_named(kind, name) {
                assert!(types.c_name(*id).len() < ANSWER_BYTES_MAX);
                let _ = (
                    types.byte_size(*id),
                    types.member(*id, "c"),
                    types.member(*id, "?"),
                );
                if let Type::Struct(it) = types.get(*id) {
                    for member in &it.members {
                        assert!(types.c_name(member.type_id).len() < ANSWER_BYTES_MAX);
                    }
                }
            }
        }
    }
    let symbols: Vec<_> = { kernel.symbols().iter() }
        .map(|it| (it.addr, it.name.to_owned()))
        .collect();
    for (addr, name) in symbols {
        let _ = (kernel.symbols().at(addr), kernel.symbols().address(&name));
        let _ = (kernel.read(addr, 16), kernel.source_line(addr));
    }
    let wild = [
        LinkAddr(u64::MAX),
        LinkAddr(0),
        LinkAddr(0xffff_ffff_8100_0000),
    ];
    for addr in wild {
        assert!(kernel.read(addr, usize::MAX).is_none());
        let _ = (kernel.read(addr, 1), kernel.source_line(addr));
    }
    let _ = (
        kernel.code().count(),
        kernel.per_cpu("table"),
        kernel.addresses_of_line("mini.c", 70),
    );
    let _ = (kernel.syscalls(), kernel.tracepoints());
}

#[test]
fn fuzz_images_with_types() {
    let mut outcomes = [0, 0];
    fuzz(|chance| {
        let mut bytes = chance.pick(&FILES).to_vec();
        chance.damage(&mut bytes);
        let origin = *chance.pick(&[TypeOrigin::Best, TypeOrigin::Dwarf, TypeOrigin::Btf]);
        let kernel = Kernel::from_images(None, Some(ImageBytes::new(bytes)), origin);
        outcomes[usize::from(kernel.is_ok())] += 1;
        match kernel {
            Ok(kernel) => ask_all(&kernel),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
    assert!(outcomes[0] > 10 && outcomes[1] > 50, "{outcomes:?}");
}

#[test]
fn fuzz_any_bytes_are_no_kernel() {
    fuzz(|chance| {
        let bytes: Vec<u8> = (0..chance.below(3000)).map(|_| chance.byte()).collect();
        assert!(Kernel::from_bytes(Some(&bytes), None).is_err());
    });
}
