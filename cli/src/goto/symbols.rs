//! What gdb knows of the kernel: its own file with debug information where there is one, else a file with the symbols and
//! types that the kernel image itself has.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use guest_symbols::{Kernel, Symbol};
use object::elf;
use object::endian::Endianness;
use object::read::{Object as _, ObjectSection as _, ReadCache};
use object::write::StringId;
use object::write::elf::{FileHeader, SectionHeader, SectionIndex, Sym, Writer};

use super::debug_types::{DebugSection, debug_types};
use crate::record::{BootKernel, RecordArgs, cache_dir, sha256, write_whole};

/// Where a kernel keeps what each CPU has its own of, if that does not move with the image.
const PER_CPU: &str = ".data..percpu";
/// Below it are distances in a CPU's own area, not addresses.
const KERNEL_START: u64 = 1 << 63;
/// Written by another version of this program, a file may have other things in it.
const VERSION: &str = concat!("symbols 2 ", env!("CARGO_PKG_VERSION"));

/// A file with a kernel's symbols at the addresses that it was linked at.
#[derive(Debug)]
pub(super) struct SymbolFile {
    path: PathBuf,
    /// Where the areas of the CPUs have a section that does not move with the image.
    fixed: Option<u64>,
}

impl SymbolFile {
    /// Finds or makes it.
    pub(super) fn of(recording: &RecordArgs) -> Result<Self> {
        let kernel = BootKernel::load(recording)?;
        let beside = recording
            .kernel
            .as_ref()
            .map(|path| path.with_file_name("vmlinux"));
        let debug = match &recording.vmlinux {
            Some(path) => Some(path.clone()),
            None => beside.filter(|path| path.is_file() && is_of(path, &kernel)),
        };
        let path = match debug {
            Some(path) => std::path::absolute(path)?,
            None => {
                let key = sha256(format!("{VERSION} {}", kernel.digest).as_bytes());
                let path = cache_dir()?.join(format!("symbols-{key}"));
                if !path.exists() {
                    write_whole(&path, &symbol_file(kernel.facts()?)?)?;
                }
                path
            }
        };
        let told = || format!("cannot read {}", path.display());
        let cache = ReadCache::new(File::open(&path).with_context(told)?);
        let file = object::File::parse(&cache).with_context(told)?;
        let per_cpu = file.section_by_name(PER_CPU);
        Ok(Self {
            fixed: per_cpu
                .map(|section| section.address())
                .filter(|address| *address < KERNEL_START),
            path,
        })
    }

    /// Tells gdb, for an image that was moved.
    pub(super) fn command(&self, slide: u64) -> String {
        let path = self.path.display();
        let per_cpu = self.fixed.map(|at| format!(" -s {PER_CPU} {at:#x}"));
        let per_cpu = per_cpu.unwrap_or_default();
        format!("add-symbol-file \"{path}\" -o {slide:#x}{per_cpu}\n")
    }
}

/// Whether a file is of the same build as the kernel.
fn is_of(path: &Path, kernel: &BootKernel) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let cache = ReadCache::new(file);
    let id = object::File::parse(&cache).ok().and_then(|file| {
        let id = file.build_id().ok().flatten()?;
        Some(
            id.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        )
    });
    let facts = kernel.facts();
    id.is_some_and(|id| facts.is_ok_and(|facts| facts.identity().build_id == id))
}

/// An executable that has no code, only names and types.
fn symbol_file(kernel: &Kernel) -> Result<Vec<u8>> {
    let mut symbols: Vec<_> = kernel.kernel_symbols().iter().collect();
    // Local ones come first in the table.
    symbols.sort_by_key(|symbol| !is_local(symbol));
    let sections = debug_types(kernel.types())?;
    let mut bytes = Vec::new();
    let mut writer = Writer::new(Endianness::Little, true, &mut bytes);
    write_file(&mut writer, &symbols, &sections)?;
    Ok(bytes)
}

/// The addresses of a section.
type Bounds = (u64, u64);

/// Where the parts of the file are: everything has its place before anything is written.
struct Layout<'a> {
    /// The image, and what each CPU has its own of where that is no part of it.
    loaded: [(StringId, SectionIndex, Bounds); 2],
    debug: Vec<(StringId, usize, &'a DebugSection)>,
    names: Vec<StringId>,
}

impl<'a> Layout<'a> {
    /// Reserves the places, in the order in which the parts are written.
    fn reserve(
        writer: &mut Writer<'a>,
        symbols: &'a [Symbol<'_>],
        sections: &'a [DebugSection],
    ) -> Self {
        writer.reserve_file_header();
        writer.reserve_null_section_index();
        let loaded = [(".text", true), (PER_CPU, false)].map(|(name, is_image)| {
            (
                writer.add_section_name(name.as_bytes()),
                writer.reserve_section_index(),
                bounds(symbols, is_image),
            )
        });
        let mut debug = Vec::new();
        for section in sections {
            let name = writer.add_section_name(section.name.as_bytes());
            writer.reserve_section_index();
            debug.push((name, writer.reserve(section.bytes.len(), 1), section));
        }
        let mut names = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            names.push(writer.add_string(symbol.name.as_bytes()));
            writer.reserve_symbol_index(Some(loaded[0].1));
        }
        writer.reserve_symtab_section_index();
        writer.reserve_symtab();
        writer.reserve_strtab_section_index();
        writer.reserve_strtab();
        writer.reserve_shstrtab_section_index();
        writer.reserve_shstrtab();
        writer.reserve_section_headers();
        Self {
            loaded,
            debug,
            names,
        }
    }

    fn write_symbols(&self, writer: &mut Writer<'a>, symbols: &[Symbol<'_>]) {
        writer.write_null_symbol();
        for (symbol, name) in symbols.iter().zip(&self.names) {
            let is_code = matches!(symbol.kind, 't' | 'T' | 'w' | 'W');
            let kind = if is_code {
                elf::STT_FUNC
            } else {
                elf::STT_OBJECT
            };
            let binding = if is_local(symbol) {
                elf::STB_LOCAL
            } else {
                elf::STB_GLOBAL
            };
            let [image, per_cpu] = &self.loaded;
            let section = if is_of_image(symbol) { image } else { per_cpu };
            writer.write_symbol(&Sym {
                name: Some(*name),
                section: Some(section.1),
                st_info: (binding << 4) + kind,
                st_other: 0,
                st_shndx: elf::SHN_ABS,
                st_value: symbol.addr.0,
                st_size: symbol.size,
            });
        }
    }

    fn write_section_headers(&self, writer: &mut Writer<'a>) {
        writer.write_null_section_header();
        let common = SectionHeader {
            name: None,
            sh_type: elf::SHT_NOBITS,
            sh_flags: u64::from(elf::SHF_ALLOC | elf::SHF_EXECINSTR),
            sh_addr: 0,
            sh_offset: 0,
            sh_size: 0,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 1,
            sh_entsize: 0,
        };
        for (name, _, (start, end)) in &self.loaded {
            writer.write_section_header(&SectionHeader {
                name: Some(*name),
                sh_addr: *start,
                sh_size: end.saturating_sub(*start),
                ..common
            });
        }
        for (name, offset, section) in &self.debug {
            writer.write_section_header(&SectionHeader {
                name: Some(*name),
                sh_type: elf::SHT_PROGBITS,
                sh_flags: 0,
                sh_addr: 0,
                sh_offset: *offset as u64,
                sh_size: section.bytes.len() as u64,
                ..common
            });
        }
    }
}

fn write_file<'a>(
    writer: &mut Writer<'a>,
    symbols: &'a [Symbol<'_>],
    debug: &'a [DebugSection],
) -> Result<()> {
    let layout = Layout::reserve(writer, symbols, debug);
    writer.write_file_header(&FileHeader {
        os_abi: 0,
        abi_version: 0,
        e_type: elf::ET_EXEC,
        e_machine: elf::EM_X86_64,
        e_entry: 0,
        e_flags: 0,
    })?;
    for section in debug {
        writer.write(&section.bytes);
    }
    layout.write_symbols(writer, symbols);
    writer.write_strtab();
    writer.write_shstrtab();
    layout.write_section_headers(writer);
    let local_count = symbols.iter().take_while(|symbol| is_local(symbol)).count();
    // The first entry of the table is no symbol, and local.
    writer.write_symtab_section_header(u32::try_from(local_count + 1)?);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(())
}

/// From the first to the last of the symbols of the image, or of the others.
fn bounds(symbols: &[Symbol<'_>], is_image: bool) -> Bounds {
    let mut here = symbols
        .iter()
        .filter(|symbol| is_of_image(symbol) == is_image)
        .peekable();
    if here.peek().is_none() {
        return (0, 0);
    }
    here.fold((u64::MAX, 0), |(start, end), symbol| {
        let last = symbol.addr.0.saturating_add(symbol.size);
        (start.min(symbol.addr.0), end.max(last))
    })
}

fn is_of_image(symbol: &Symbol<'_>) -> bool {
    symbol.addr.0 >= KERNEL_START
}

fn is_local(symbol: &Symbol<'_>) -> bool {
    symbol.kind.is_ascii_lowercase()
}
