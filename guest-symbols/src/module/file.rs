//! A module file: which module it is, and the names in it.

use std::io::Read;

use crate::bytes::{index, text_at, u32_at, u64_at};
use crate::elf::{Section, Sections, build_id_in};
use crate::image::{Compression, FileKind};
use crate::symtab::SYMBOL_BYTES;
use crate::{ImageBytes, SymbolError};

/// With debug information the largest module has some 200 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A module file, unpacked.
#[derive(Clone, Debug)]
pub struct ModuleFile {
    pub(super) bytes: ImageBytes,
    pub(super) sections: Vec<Section>,
    name: String,
    release: String,
    build_id: String,
    dependencies: Vec<String>,
}

impl ModuleFile {
    /// Reads a `.ko` file, packed with gzip, xz or zstd or not at all.
    ///
    /// # Errors
    /// When it does not unpack or is no module.
    pub fn parse(file: ImageBytes) -> Result<Self, SymbolError> {
        let bytes = unpack(file)?;
        if !bytes.as_slice().starts_with(b"\x7fELF") {
            return Err(SymbolError::NotAModule {
                found: FileKind::of(bytes.as_slice()),
            });
        }
        let sections = Sections::parse_object(bytes.as_slice()).map_err(|error| match error {
            SymbolError::NotAKernel { found } => SymbolError::NotAModule { found },
            other => other,
        })?;
        let of_section = |name: &str| {
            let section = sections.iter().find(|section| section.name == name)?;
            bytes.as_slice().get(section.file.clone())
        };
        let information = of_section(".modinfo").unwrap_or_default();
        let name = modinfo(information, "name=").ok_or(SymbolError::NotAModule {
            found: FileKind::ElfObject,
        })?;
        let release = modinfo(information, "vermagic=")
            .and_then(|magic| magic.split(' ').next())
            .unwrap_or_default();
        let dependencies = modinfo(information, "depends=").unwrap_or_default();
        let dependencies = dependencies.split(',').filter(|name| !name.is_empty());
        let dependencies = dependencies.map(str::to_owned).collect();
        let build_id = of_section(".note.gnu.build-id").and_then(build_id_in);
        Ok(Self {
            name: name.to_owned(),
            release: release.to_owned(),
            build_id: build_id.unwrap_or_default(),
            dependencies,
            sections,
            bytes,
        })
    }

    /// Its name, as `lsmod` prints it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file, unpacked.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The modules that have to be loaded before it.
    pub fn dependencies(&self) -> impl Iterator<Item = &str> {
        self.dependencies.iter().map(String::as_str)
    }

    /// `uname -r` of the kernel that it was built for.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// GNU build id in hex; empty when the build left none.
    #[must_use]
    pub fn build_id(&self) -> &str {
        &self.build_id
    }

    /// The names that it defines.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.symbols()
            .filter(|(_, is_defined)| *is_defined)
            .map(|(name, _)| name)
    }

    /// Its functions: name and size in bytes.
    pub fn functions(&self) -> impl Iterator<Item = (&str, u64)> {
        const FUNCTION: u8 = 2;
        let functions = self.symbol_bytes().filter(|(_, symbol)| {
            let is_defined = symbol.get(6..8) != Some(&[0, 0]);
            is_defined && symbol.get(4).is_some_and(|info| info & 0xf == FUNCTION)
        });
        functions.map(|(name, symbol)| (name, u64_at(symbol, 16).unwrap_or(0)))
    }

    /// The names of the kernel and of other modules that it uses.
    pub fn foreign_names(&self) -> impl Iterator<Item = &str> {
        self.symbols()
            .filter(|(_, is_defined)| !is_defined)
            .map(|(name, _)| name)
    }

    /// Names, and whether they are defined here.
    fn symbols(&self) -> impl Iterator<Item = (&str, bool)> {
        let symbols = self.symbol_bytes();
        symbols.map(|(name, symbol)| (name, symbol.get(6..8) != Some(&[0, 0])))
    }

    /// The named entries of the symbol table.
    fn symbol_bytes(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let file = self.bytes.as_slice();
        let table = self.symbol_table();
        let strings = table.and_then(|table| self.sections.get(index(table.link)));
        let strings = strings.and_then(|strings| file.get(strings.file.clone()));
        let symbols = table.and_then(|table| file.get(table.file.clone()));
        let symbols = symbols.unwrap_or_default().chunks_exact(SYMBOL_BYTES);
        symbols.filter_map(move |symbol| {
            let name = text_at(strings?, index(u32_at(symbol, 0)?))?;
            (!name.is_empty()).then_some((name, symbol))
        })
    }

    /// Contents of a section; `None` when it is not there or empty.
    pub(crate) fn section(&self, name: &str) -> Option<&[u8]> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        let bytes = self.bytes.as_slice().get(section.file.clone());
        bytes.filter(|bytes| !bytes.is_empty())
    }

    pub(super) fn symbol_table(&self) -> Option<&Section> {
        use goblin::elf::section_header::SHT_SYMTAB;
        self.sections
            .iter()
            .find(|section| section.kind == SHT_SYMTAB)
    }
}

fn unpack(file: ImageBytes) -> Result<ImageBytes, SymbolError> {
    let packed = file.as_slice();
    let method = Compression::of(packed).unwrap_or(Compression::None);
    let reader: Box<dyn Read + '_> = match method {
        Compression::Gzip => Box::new(flate2::read::GzDecoder::new(packed)),
        Compression::Xz => Box::new(liblzma::read::XzDecoder::new(packed)),
        Compression::Zstd => match zstd::stream::read::Decoder::new(packed) {
            Ok(reader) => Box::new(reader),
            Err(source) => return Err(SymbolError::Unpack { method, source }),
        },
        _ => return Ok(file),
    };
    let mut out = Vec::new();
    reader
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut out)
        .map_err(|source| SymbolError::Unpack { method, source })?;
    Ok(ImageBytes::new(out))
}

/// The value of a tag in `.modinfo`, which holds texts `tag=value`.
fn modinfo<'a>(section: &'a [u8], tag: &str) -> Option<&'a str> {
    let mut texts = section.split(|byte| *byte == 0);
    let value = texts.find_map(|text| text.strip_prefix(tag.as_bytes()))?;
    std::str::from_utf8(value).ok()
}
