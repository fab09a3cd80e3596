//! A small ELF file with DWARF and BTF (`fixtures/mini.c`): known facts.

use guest_symbols::{ImageBytes, Kernel, MemberPlace, SymbolError, Type, TypeOrigin, Types};

const DWARF4: &[u8] = include_bytes!("fixtures/mini-dwarf4.elf");
const DWARF5: &[u8] = include_bytes!("fixtures/mini-dwarf5.elf");
const COMPRESSED: &[u8] = include_bytes!("fixtures/mini-compressed.elf");

fn open(bytes: &[u8], origin: TypeOrigin) -> Result<Kernel, SymbolError> {
    Kernel::from_images(None, Some(ImageBytes::new(bytes.to_vec())), origin)
}

fn variants() -> Vec<Kernel> {
    let files = [
        (DWARF4, TypeOrigin::Dwarf),
        (DWARF5, TypeOrigin::Dwarf),
        (COMPRESSED, TypeOrigin::Dwarf),
        (DWARF5, TypeOrigin::Btf),
    ];
    files
        .iter()
        .map(|(bytes, origin)| open(bytes, *origin).expect("a kernel"))
        .collect()
}

fn place(types: &Types, name: &str) -> (String, u64, Option<u8>) {
    let outer = types.struct_named("outer").expect("the struct");
    let MemberPlace {
        type_id,
        bit_offset,
        bitfield_bits,
    } = types.member(outer, name).expect("the member");
    (types.c_name(type_id), bit_offset, bitfield_bits)
}

#[test]
fn members_lie_where_the_compiler_puts_them() {
    let truth = [
        ("next", "struct inner *", 0, None),
        ("in", "struct inner[3]", 64, None),
        ("narrow", "unsigned int", 448, Some(3)),
        ("wide", "unsigned int", 451, Some(13)),
        ("far_away", "u64", 464, Some(40)),
        ("matrix", "int[10]", 512, None),
        ("colour", "enum colour", 832, None),
        ("flag", "_Bool", 864, None),
        ("number", "union number", 896, None),
        ("callback", "int (struct outer *, char *) *", 960, None),
        ("opaque", "struct never_defined *", 1024, None),
        ("tail", "unsigned char[0]", 1088, None),
    ];
    for kernel in variants() {
        let types = kernel.types();
        for (name, c_name, bit_offset, width) in truth {
            assert_eq!(
                place(types, name),
                (c_name.to_owned(), bit_offset, width),
                "{name}"
            );
        }
        let inner = types.struct_named("inner").unwrap();
        assert_eq!(
            types.member(inner, "c").and_then(|it| it.byte_offset()),
            Some(8)
        );
        assert_eq!(
            types.byte_size(types.struct_named("outer").unwrap()),
            Some(136)
        );
        assert_eq!(types.struct_named("never_defined"), None);
    }
}

#[test]
fn names_mean_what_the_source_says() {
    for kernel in variants() {
        let types = kernel.types();
        let values = ["RED", "GREEN", "BLUE", "ANONYMOUS_VALUE", "WIDE_VALUE"]
            .map(|name| types.enum_value(name));
        assert_eq!(
            values[..4],
            [Some(-1), Some(5), Some(0x7fff_ffff), Some(42)]
        );
        // pahole 1.24 writes 64-bit enumerations only when asked.
        assert!(
            matches!(values[4], Some(0x12_3456_789a | 0x3456_789a) | None),
            "{values:x?}"
        );
        let function = types.function("first_function").unwrap();
        assert_eq!(types.c_name(function), "int (struct outer *, char *)");
        let Type::Function { params, .. } = types.get(function) else {
            panic!("no function")
        };
        assert_eq!(params[1].0.as_deref(), Some("text"));
        assert!(types.struct_named("local").is_some());
        assert_eq!(
            types.typedef_named("u64").map(|id| types.byte_size(id)),
            Some(Some(8))
        );
        assert_eq!(kernel.identity().release, "0.1.0-mini");
        assert_eq!(
            kernel.identity().build_id,
            "00112233445566778899aabbccddeeff00112233"
        );
        assert_eq!(kernel.per_cpu("global_outer"), None);
        assert!(matches!(
            kernel.syscalls(),
            Err(SymbolError::MissingSymbol {
                name: "sys_call_table",
                ..
            })
        ));
    }
}

#[test]
fn variables_have_the_types_of_the_source() {
    for (bytes, origin) in [(DWARF4, TypeOrigin::Best), (DWARF5, TypeOrigin::Dwarf)] {
        let kernel = open(bytes, origin).unwrap();
        let types = kernel.types();
        let name = |variable: &str| types.variable(variable).map(|id| types.c_name(id));
        assert_eq!(name("global_outer").as_deref(), Some("struct outer"));
        assert_eq!(name("linux_banner").as_deref(), Some("char[36]"));
        assert_eq!(name("table").as_deref(), Some("struct inner[4]"));
    }
}

#[test]
fn two_builds_are_told_apart() {
    let mut other = DWARF5.to_vec();
    let at = other
        .windows(4)
        .position(|it| it == [0, 0x11, 0x22, 0x33])
        .unwrap();
    other[at] = 0xff;
    let error = Kernel::from_bytes(Some(DWARF5), Some(&other)).unwrap_err();
    let text = error.to_string();
    for part in ["00112233", "ff112233", "0.1.0-mini", "hint:"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(Kernel::from_bytes(Some(DWARF5), Some(DWARF4)).is_ok());
    assert!(matches!(
        Kernel::from_bytes(None, None),
        Err(SymbolError::NoInput)
    ));
}

#[test]
fn what_is_no_kernel_is_told() {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let cases: [(&[u8], &str); 4] = [
        (&program, "an ELF program without a kernel's sections"),
        (&DWARF5[..9000], "cut short: the section headers"),
        (b"CONFIG_64BIT=y\n", "the file is text"),
        (
            &[0x7f, b'E', b'L', b'F', 1, 1],
            "ELF headers cannot be read",
        ),
    ];
    for (bytes, message) in cases {
        let text = Kernel::from_bytes(Some(bytes), None)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains(message) && text.contains("\nhint: "),
            "{text}"
        );
    }
}
