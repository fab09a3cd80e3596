//! Every layout that kernels had, written here and read back; and the same damaged.

use super::read;
use crate::elf::Sections;
use crate::error::KallsymsProblem;

const TEXT: u64 = 0xffff_ffff_8100_0000;
const RODATA: u64 = TEXT + 0x10_0000;
/// `0x40` fixed bytes, four section headers of `0x40`, names.
const RODATA_AT: usize = 0x1000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    To61,
    From62,
    From64,
    From615,
    From70,
}

const LAYOUTS: [Layout; 5] = [
    Layout::To61,
    Layout::From62,
    Layout::From64,
    Layout::From615,
    Layout::From70,
];

type Symbols = Vec<(u64, char, String)>;

/// Per-CPU symbols at 0, functions, one of them with a name so long that its length takes two bytes.
fn symbols(layout: Layout) -> Symbols {
    let has_per_cpu = !matches!(layout, Layout::From615 | Layout::From70);
    let per_cpu = (0..40).map(|i| (i * 64, 'A', format!("per_cpu_of_{i}")));
    let functions = (1..1500).map(|i| (TEXT + i * 16, 't', format!("func_of_{i}")));
    let mut out: Symbols = per_cpu.filter(|_| has_per_cpu).collect();
    out.push((TEXT, 'T', "_text".to_owned()));
    out.extend(functions);
    out.push((TEXT + 0x8000, 'T', "very".repeat(90)));
    // Stable, as the kernel's own sorting.
    out.sort_by_key(|it| it.0);
    out
}

fn tokens() -> Vec<String> {
    let token = |code: u8| match code {
        1 => "func".to_owned(),
        2 => "_of_".to_owned(),
        code if code.is_ascii_graphic() => char::from(code).to_string(),
        code => format!("~{code}~"),
    };
    (0..=255).map(token).collect()
}

fn pack(kind: char, name: &str) -> Vec<u8> {
    let packed = format!("{kind}{name}")
        .replace("func", "\u{1}")
        .replace("_of_", "\u{2}")
        .into_bytes();
    let len = packed.len();
    let low = u8::try_from(len & 0x7f).unwrap();
    let mut out = if len < 0x80 {
        vec![low]
    } else {
        vec![low | 0x80, u8::try_from(len >> 7).unwrap()]
    };
    out.extend(packed);
    out
}

/// A section under construction.
struct Rodata {
    bytes: Vec<u8>,
    alignment: usize,
}

impl Rodata {
    fn table(&mut self, bytes: impl IntoIterator<Item = u8>) {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(self.alignment), 0);
        self.bytes.extend(bytes);
    }

    fn names(&mut self, symbols: &Symbols) {
        self.table(u32::try_from(symbols.len()).unwrap().to_le_bytes());
        let packed: Vec<Vec<u8>> = symbols
            .iter()
            .map(|(_, kind, name)| pack(*kind, name))
            .collect();
        let mut markers = Vec::new();
        let mut at = 0_u32;
        for (i, name) in packed.iter().enumerate() {
            if i % 256 == 0 {
                markers.extend(at.to_le_bytes());
            }
            at += u32::try_from(name.len()).unwrap();
        }
        self.table(packed.concat());
        self.table(markers);
    }

    fn tokens(&mut self) {
        let tokens = tokens();
        let mut starts = Vec::new();
        let mut at = 0_u16;
        for token in &tokens {
            starts.extend(at.to_le_bytes());
            at += u16::try_from(token.len() + 1).unwrap();
        }
        self.table(tokens.iter().flat_map(|token| token.bytes().chain([0])));
        self.table(starts);
    }

    fn offsets(&mut self, symbols: &Symbols, layout: Layout) {
        self.table([]);
        let here = RODATA + self.bytes.len() as u64;
        let places = (here..).step_by(4);
        let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap().to_le_bytes();
        let encode = |((addr, ..), place): (&(u64, char, String), u64)| match layout {
            Layout::To61 | Layout::From62 | Layout::From64 if *addr >= TEXT => {
                low(TEXT.wrapping_sub(1).wrapping_sub(*addr))
            }
            Layout::To61 | Layout::From62 | Layout::From64 => low(*addr),
            Layout::From615 => low(addr - TEXT),
            Layout::From70 => low(addr.wrapping_sub(place)),
        };
        let encoded: Vec<[u8; 4]> = symbols.iter().zip(places).map(encode).collect();
        self.table(encoded.concat());
    }
}

fn rodata(layout: Layout) -> Vec<u8> {
    let symbols = symbols(layout);
    let alignment = if layout == Layout::From70 { 4 } else { 8 };
    // Something before and after, as in a kernel.
    let mut out = Rodata {
        bytes: b"other read-only data".to_vec(),
        alignment,
    };
    let sequence: Vec<u8> = (0..symbols.len())
        .flat_map(|i| {
            [
                0,
                u8::try_from(i / 256).unwrap(),
                u8::try_from(i % 256).unwrap(),
            ]
        })
        .collect();
    let is_early = matches!(layout, Layout::To61 | Layout::From62);
    if is_early {
        out.offsets(&symbols, layout);
        out.table(TEXT.to_le_bytes());
    }
    out.names(&symbols);
    if layout == Layout::From62 {
        out.table(sequence.clone());
    }
    out.tokens();
    if !is_early {
        out.offsets(&symbols, layout);
        if layout != Layout::From70 {
            out.table(TEXT.to_le_bytes());
        }
        out.table(sequence);
    }
    out.table(*b"more");
    out.bytes
}

/// An ELF file with that `.rodata` and an empty `.text` of 1 MiB minus a page.
fn elf(rodata: &[u8]) -> Vec<u8> {
    let mut out = vec![0; RODATA_AT];
    out[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0");
    out[20] = 1;
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x28, &0x40_u64.to_le_bytes());
    // Sizes and counts of headers, and the section with the names.
    put(0x34, &[0x40, 0, 0x38, 0, 0, 0, 0x40, 0, 4, 0, 3, 0]);
    let names = b"\0.text\0.rodata\0.shstrtab\0";
    let mut section =
        |number: usize, name: u8, kind: u8, flags: u8, addr: u64, place: (usize, usize)| {
            let at = 0x40 + 0x40 * number;
            put(at, &[name, 0, 0, 0, kind, 0, 0, 0, flags]);
            put(at + 0x10, &addr.to_le_bytes());
            put(at + 0x18, &(place.0 as u64).to_le_bytes());
            put(at + 0x20, &(place.1 as u64).to_le_bytes());
        };
    section(1, 1, 1, 6, TEXT, (RODATA_AT + rodata.len(), 0xff000));
    section(2, 7, 1, 2, RODATA, (RODATA_AT, rodata.len()));
    section(3, 15, 3, 0, 0, (0x200, names.len()));
    put(0x200, names);
    out.extend(rodata);
    out.resize(out.len() + 0xff000, 0x90);
    out
}

fn read_back(file: &[u8]) -> Result<Symbols, KallsymsProblem> {
    let sections = Sections::parse(file).expect("sections");
    let table = read(file, &sections)?.finish(Vec::new());
    Ok(table
        .iter()
        .map(|it| (it.addr.0, it.kind, it.name.to_owned()))
        .collect())
}

#[test]
fn every_layout_is_read_back() {
    for layout in LAYOUTS {
        let expected = symbols(layout);
        let found = read_back(&elf(&rodata(layout)))
            .unwrap_or_else(|problem| panic!("{layout:?}: {problem}"));
        assert!(found == expected, "{layout:?}");
    }
}

#[test]
fn without_kallsyms_the_error_says_so() {
    assert_eq!(
        read_back(&elf(&[1; 0x4000])),
        Err(KallsymsProblem::NoTokenTable)
    );
    let without_names = [vec![0; 64], rodata(Layout::From70).split_off(0x3000)].concat();
    assert!(read_back(&elf(&without_names)).is_err());
}

#[test]
fn fuzz_damage_gives_an_error_or_addresses_in_range() {
    let files = LAYOUTS.map(rodata);
    guesttrace_tests::fuzz(|chance| {
        let mut bytes = chance.pick(&files).clone();
        chance.damage(&mut bytes);
        if bytes.is_empty() {
            return;
        }
        if let Ok(found) = read_back(&elf(&bytes)) {
            assert!(found.is_sorted_by_key(|it| it.0));
            // Every name takes at least a byte of the file.
            assert!(found.len() <= bytes.len());
        }
    });
}
