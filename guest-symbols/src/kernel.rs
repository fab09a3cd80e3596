//! A kernel image with all that is known of it.

use std::sync::OnceLock;

use crate::elf::Sections;
use crate::identity::Identity;
use crate::symbols::{SymbolTable, SymbolTableBuilder};
use crate::syscalls::{self, Syscall};
use crate::tracepoints::{self, Tracepoint};
use crate::type_graph::Types;
use crate::{LinkAddr, SymbolError, btf, image, kallsyms, symtab};

/// A kernel image and the facts in it.
#[derive(Debug)]
pub struct Kernel {
    image: Image,
    identity: Identity,
    symbols: SymbolTable,
    types: Types,
    syscalls: OnceLock<Vec<Syscall>>,
    tracepoints: OnceLock<Vec<Tracepoint>>,
}

/// The bytes of an ELF image with its sections.
#[derive(Debug)]
struct Image {
    elf: Vec<u8>,
    sections: Sections,
}

impl Image {
    /// Unpacks a bzImage, or takes an ELF file as it is.
    fn open(file: Vec<u8>) -> Result<Self, SymbolError> {
        let elf = image::elf_from(&file)?.unwrap_or(file);
        let sections = Sections::parse(&elf)?;
        Ok(Self { elf, sections })
    }

    fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections
            .named(name)
            .and_then(|section| self.elf.get(section.file.clone()))
            .filter(|b| !b.is_empty())
    }

    fn identity(&self) -> Identity {
        Identity::read(&self.elf, &self.sections, None)
    }
}

impl Kernel {
    /// Reads a kernel from the bytes of its bzImage or vmlinux, of its vmlinux with debug information, or of both.
    ///
    /// When both are given they must be of one build; the boot image is then the bzImage's, symbols come from the vmlinux.
    pub fn from_bytes(kernel: Option<&[u8]>, vmlinux: Option<&[u8]>) -> Result<Self, SymbolError> {
        Self::from_vecs(kernel.map(<[u8]>::to_vec), vmlinux.map(<[u8]>::to_vec))
    }

    /// As [`Kernel::from_bytes`], without copying a vmlinux of half a gigabyte.
    pub fn from_vecs(
        kernel: Option<Vec<u8>>,
        vmlinux: Option<Vec<u8>>,
    ) -> Result<Self, SymbolError> {
        let kernel = kernel.map(Image::open).transpose()?;
        let vmlinux = vmlinux.map(Image::open).transpose()?;
        if let (Some(kernel), Some(vmlinux)) = (&kernel, &vmlinux) {
            check_same_build(kernel, vmlinux)?;
        }
        let symbols = read_symbols(vmlinux.as_ref(), kernel.as_ref())?;
        let types = read_types(vmlinux.as_ref(), kernel.as_ref())?;
        let image = kernel.or(vmlinux).ok_or(SymbolError::NoInput)?;
        let identity = Identity::read(&image.elf, &image.sections, Some(&symbols));
        Ok(Self {
            image,
            identity,
            symbols,
            types,
            syscalls: OnceLock::new(),
            tracepoints: OnceLock::new(),
        })
    }

    /// Which kernel this is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its symbols.
    #[must_use]
    pub fn symbols(&self) -> &SymbolTable {
        &self.symbols
    }

    /// Its types.
    #[must_use]
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// What to add to a CPU's per-CPU base (the kernel's GS base) to reach its copy of a per-CPU variable.
    ///
    /// To 6.14 the per-CPU area is linked at 0 and this is the distance from the area's start. Since 6.15 it is linked
    /// inside the image and the GS base is the distance from there to the CPU's area: then this is the link address, to
    /// which the KASLR slide must be added ([`Kernel::per_cpu_moves_with_image`]). The sum wraps at 64 bits.
    #[must_use]
    pub fn per_cpu(&self, name: &str) -> Option<u64> {
        let (start, end) = self.per_cpu_area()?;
        self.symbols
            .all(name)
            .map(|symbol| symbol.addr)
            .find(|addr| (start..end).contains(addr))
            .map(|addr| addr.0)
    }

    /// Says whether the KASLR slide must be added to what [`Kernel::per_cpu`] gives (since 6.15).
    #[must_use]
    pub fn per_cpu_moves_with_image(&self) -> bool {
        self.per_cpu_area().is_some_and(|(start, _)| start.0 != 0)
    }

    fn per_cpu_area(&self) -> Option<(LinkAddr, LinkAddr)> {
        Some((
            self.symbols.address("__per_cpu_start")?,
            self.symbols.address("__per_cpu_end")?,
        ))
    }

    /// Bytes of the image at a link address; `None` outside what the file holds (`.bss`, gaps).
    #[must_use]
    pub fn read(&self, addr: LinkAddr, len: usize) -> Option<&[u8]> {
        self.image.sections.read(&self.image.elf, addr, len)
    }

    /// The file's bytes from a link address to the end of its section.
    pub(crate) fn rest(&self, addr: LinkAddr) -> Option<&[u8]> {
        self.image.sections.rest(&self.image.elf, addr)
    }

    /// The sections that hold code, by address.
    ///
    /// Not `.data`, which is marked as code since 7.0 for the sake of the vsyscall page in it.
    pub fn code(&self) -> impl Iterator<Item = (LinkAddr, &[u8])> {
        let sections = self
            .image
            .sections
            .loaded()
            .filter(|section| section.is_code && !section.is_writable);
        sections
            .filter_map(|section| Some((section.addr, self.image.elf.get(section.file.clone())?)))
    }

    /// The system calls, by ABI and number.
    pub fn syscalls(&self) -> Result<&[Syscall], SymbolError> {
        if let Some(read) = self.syscalls.get() {
            return Ok(read);
        }
        let read = syscalls::read(self)?;
        Ok(self.syscalls.get_or_init(|| read))
    }

    /// The tracepoints compiled into the image, by name.
    pub fn tracepoints(&self) -> Result<&[Tracepoint], SymbolError> {
        if let Some(read) = self.tracepoints.get() {
            return Ok(read);
        }
        let read = tracepoints::read(self)?;
        Ok(self.tracepoints.get_or_init(|| read))
    }

    /// The ELF image: what a bzImage unpacks to, or the vmlinux as given. QEMU boots it through its PVH note.
    #[must_use]
    pub fn elf(&self) -> &[u8] {
        &self.image.elf
    }
}

fn check_same_build(kernel: &Image, vmlinux: &Image) -> Result<(), SymbolError> {
    let (kernel, vmlinux) = (kernel.identity(), vmlinux.identity());
    if kernel.build_id == vmlinux.build_id
        && (!kernel.build_id.is_empty() || kernel.banner == vmlinux.banner)
    {
        return Ok(());
    }
    Err(SymbolError::BuildMismatch {
        kernel_id: kernel.build_id,
        kernel_release: kernel.release,
        vmlinux_id: vmlinux.build_id,
        vmlinux_release: vmlinux.release,
    })
}

/// From the symbol table of the first image that has one, else from kallsyms.
fn read_symbols(
    vmlinux: Option<&Image>,
    kernel: Option<&Image>,
) -> Result<SymbolTable, SymbolError> {
    let images = || [vmlinux, kernel].into_iter().flatten();
    let from_symtab =
        images().find_map(|image| Some((image, symtab::read(&image.elf, &image.sections)?)));
    let (image, builder): (&Image, SymbolTableBuilder) = match from_symtab {
        Some(found) => found,
        None => {
            let image = images().last().ok_or(SymbolError::NoInput)?;
            let builder = kallsyms::read(&image.elf, &image.sections);
            (
                image,
                builder.map_err(|problem| SymbolError::NoSymbols { problem })?,
            )
        }
    };
    let areas = image
        .sections
        .in_memory()
        .map(|section| (section.addr, section.end()));
    Ok(builder.finish(areas.collect()))
}

fn read_types(vmlinux: Option<&Image>, kernel: Option<&Image>) -> Result<Types, SymbolError> {
    let mut sections = [vmlinux, kernel]
        .into_iter()
        .flatten()
        .filter_map(|image| image.section(".BTF"));
    btf::read(sections.next().ok_or(SymbolError::NoTypes)?)
}
