//! A kernel image with all that is known of it.

use std::sync::{Arc, OnceLock};

use crate::dwarf::{DebugSections, Lines, LocalVariable, SourceLine, variables};
use crate::elf::Sections;
use crate::identity::Identity;
use crate::module::{LinkedModule, MODULE_LINK_BASE, ModuleFile};
use crate::orc::{self, Orc};
use crate::program::Program;
use crate::symbols::SymbolTable;
use crate::syscalls::{self, Syscall};
use crate::tracepoints::{self, Tracepoint};
use crate::type_graph::Types;
use crate::{ImageBytes, LinkAddr, SymbolError, btf, image, kallsyms, symtab};

/// Where types are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TypeOrigin {
    /// BTF when there is any, as it is small and complete; else DWARF.
    #[default]
    Best,
    /// `.BTF` alone.
    Btf,
    /// DWARF alone. It also describes what BTF leaves out: global variables, functions in assembly and inlined ones.
    Dwarf,
}

/// A kernel image and the facts in it.
#[derive(Debug)]
pub struct Kernel {
    image: Image,
    identity: Identity,
    symbols: Arc<SymbolTable>,
    types: Arc<Types>,
    /// The module that this view of a kernel is about.
    module: Option<LinkedModule>,
    modules: Vec<Kernel>,
    /// The program that this view of a kernel is about.
    program: Option<Program>,
    /// Views of the kernel, by the name of the program that each is about.
    programs: Vec<(String, Kernel)>,
    debug: Option<Arc<DebugSections>>,
    lines: OnceLock<Lines>,
    syscalls: OnceLock<Vec<Syscall>>,
    tracepoints: OnceLock<Vec<Tracepoint>>,
    orc: OnceLock<Orc>,
    /// Of the kernel, when its types come from DWARF.
    btf_types: OnceLock<Arc<Types>>,
}

/// The bytes of an ELF image with its sections.
#[derive(Clone, Debug)]
struct Image {
    elf: ImageBytes,
    sections: Sections,
}

impl Image {
    /// Unpacks a bzImage, or takes an ELF file as it is.
    fn open(file: ImageBytes) -> Result<Self, SymbolError> {
        let elf = image::elf_from(file.as_slice())?.map_or(file, ImageBytes::new);
        let sections = Sections::parse(elf.as_slice())?;
        Ok(Self { elf, sections })
    }

    fn bytes(&self) -> &[u8] {
        self.elf.as_slice()
    }

    fn section(&self, name: &str) -> Option<&[u8]> {
        let section = self.sections.named(name)?;
        self.bytes()
            .get(section.file.clone())
            .filter(|bytes| !bytes.is_empty())
    }

    fn identity(&self) -> Identity {
        Identity::read(self.bytes(), &self.sections, None)
    }
}

impl Kernel {
    /// Reads a kernel from the bytes of its bzImage or vmlinux, of its vmlinux with debug information, or of both.
    ///
    /// When both are given they must be of one build; the boot image is then the bzImage's, symbols come from the
    /// vmlinux.
    pub fn from_bytes(kernel: Option<&[u8]>, vmlinux: Option<&[u8]>) -> Result<Self, SymbolError> {
        Self::from_vecs(kernel.map(<[u8]>::to_vec), vmlinux.map(<[u8]>::to_vec))
    }

    /// As [`Kernel::from_bytes`], without copying a vmlinux of half a gigabyte.
    pub fn from_vecs(
        kernel: Option<Vec<u8>>,
        vmlinux: Option<Vec<u8>>,
    ) -> Result<Self, SymbolError> {
        Self::from_images(
            kernel.map(ImageBytes::new),
            vmlinux.map(ImageBytes::new),
            TypeOrigin::Best,
        )
    }

    /// As [`Kernel::from_bytes`], from shared or mapped bytes, with types from where the caller says.
    pub fn from_images(
        kernel: Option<ImageBytes>,
        vmlinux: Option<ImageBytes>,
        origin: TypeOrigin,
    ) -> Result<Self, SymbolError> {
        let kernel = kernel.map(Image::open).transpose()?;
        let vmlinux = vmlinux.map(Image::open).transpose()?;
        if let (Some(kernel), Some(vmlinux)) = (&kernel, &vmlinux) {
            check_same_build(kernel, vmlinux)?;
        }
        let images: Vec<&Image> = vmlinux.iter().chain(&kernel).collect();
        let symbols = read_symbols(&images)?;
        let debug = images
            .iter()
            .find_map(|image| DebugSections::open(&image.elf, &image.sections))
            .map(Arc::new);
        let types = read_types(&images, debug.as_ref(), origin)?;
        let image = kernel.or(vmlinux).ok_or(SymbolError::NoInput)?;
        let identity = Identity::read(image.bytes(), &image.sections, Some(&symbols));
        Ok(Self {
            image,
            identity,
            symbols: Arc::new(symbols),
            types: Arc::new(types),
            module: None,
            modules: Vec::new(),
            program: None,
            programs: Vec::new(),
            debug,
            lines: OnceLock::new(),
            syscalls: OnceLock::new(),
            tracepoints: OnceLock::new(),
            orc: OnceLock::new(),
            btf_types: OnceLock::new(),
        })
    }

    /// The kernel as a module sees it: the module's own code, symbols, types and tracepoints, and behind them the kernel's.
    ///
    /// The module is linked at `at`, which must be [`crate::MODULE_LINK_BASE`] or the end of the module before.
    ///
    /// # Errors
    /// When the module is not for this kernel, or makes no sense.
    pub fn with_module(&self, file: &ModuleFile, at: LinkAddr) -> Result<Self, SymbolError> {
        if !self.identity.release.is_empty() && file.release() != self.identity.release {
            return Err(SymbolError::ModuleMismatch {
                module: file.name().to_owned(),
                module_release: file.release().to_owned(),
                kernel_release: self.identity.release.clone(),
            });
        }
        let (module, symbols) = file.link(at, self.symbols.clone())?;
        Ok(Self {
            image: self.image.clone(),
            identity: self.identity.clone(),
            symbols: Arc::new(symbols),
            types: self.types_with(file)?,
            module: Some(module),
            modules: Vec::new(),
            program: None,
            programs: Vec::new(),
            debug: None,
            lines: OnceLock::new(),
            syscalls: OnceLock::new(),
            tracepoints: OnceLock::new(),
            orc: OnceLock::new(),
            btf_types: OnceLock::new(),
        })
    }

    /// Takes modules into consideration that this kernel may load, each linked behind the one before.
    ///
    /// # Errors
    /// When one of them is not for this kernel, or makes no sense.
    pub fn add_modules(&mut self, files: &[ModuleFile]) -> Result<(), SymbolError> {
        for file in files {
            let last = self.modules.last().and_then(|view| view.module.as_ref());
            let view = self.with_module(file, last.map_or(MODULE_LINK_BASE, LinkedModule::end))?;
            self.modules.push(view);
        }
        Ok(())
    }

    /// The modules that this kernel may load, each in a view as [`Kernel::with_module`] gives it.
    #[must_use]
    pub fn modules(&self) -> &[Self] {
        &self.modules
    }

    /// The kernel itself, or the view of the module that is linked at that address.
    #[must_use]
    pub fn view_at(&self, addr: LinkAddr) -> &Self {
        let mut views = self.modules.iter();
        views.find(|view| view.owns(addr)).unwrap_or(self)
    }

    /// The kernel's types and the module's, when both have BTF and the module's is based on the kernel's.
    fn types_with(&self, file: &ModuleFile) -> Result<Arc<Types>, SymbolError> {
        match (self.image.section(".BTF"), file.section(".BTF")) {
            (Some(base), Some(own)) if file.section(".BTF.base").is_none() => {
                let types = self.btf_types(base)?;
                btf::read_split(own, types, base).map(Arc::new)
            }
            _ => Ok(self.types.clone()),
        }
    }

    /// The kernel's types from its BTF, also when others come from DWARF: a module's ids count on from these.
    fn btf_types(&self, section: &[u8]) -> Result<Arc<Types>, SymbolError> {
        if self.types.is_whole() {
            return Ok(self.types.clone());
        }
        if let Some(known) = self.btf_types.get() {
            return Ok(known.clone());
        }
        let types = btf::read(section).map(Arc::new)?;
        Ok(self.btf_types.get_or_init(|| types).clone())
    }

    /// The module that this view is about; `None` for the kernel itself.
    #[must_use]
    pub fn module(&self) -> Option<&LinkedModule> {
        self.module.as_ref()
    }

    /// Whether an address is the module's, in the view of one; the kernel's otherwise.
    #[must_use]
    pub fn owns(&self, addr: LinkAddr) -> bool {
        self.module.as_ref().is_none_or(|module| module.holds(addr))
    }

    /// Takes a program into consideration that the guest may run, under the name by which it is then asked for.
    pub fn add_program(&mut self, name: &str, program: Program) {
        let debug = program.debug().cloned();
        let types = Types::of_program(debug.clone(), self.types.clone());
        let view = Self {
            image: self.image.clone(),
            identity: self.identity.clone(),
            symbols: self.symbols.clone(),
            types: Arc::new(types),
            module: None,
            modules: Vec::new(),
            program: Some(program),
            programs: Vec::new(),
            debug,
            lines: OnceLock::new(),
            syscalls: OnceLock::new(),
            orc: OnceLock::new(),
            tracepoints: OnceLock::new(),
            btf_types: OnceLock::new(),
        };
        self.programs.push((name.to_owned(), view));
    }

    /// The kernel as a program sees it: the program's code, symbols, types and debug information, and the kernel's types
    /// and per-CPU variables behind them. Addresses are the program's.
    #[must_use]
    pub fn program_view(&self, name: &str) -> Option<&Self> {
        let mut views = self.programs.iter();
        let (_, view) = views.find(|(known, _)| known == name)?;
        Some(view)
    }

    /// Names of the programs.
    pub fn program_names(&self) -> impl Iterator<Item = &str> {
        self.programs.iter().map(|(name, _)| name.as_str())
    }

    /// The program that this view is about; `None` for the kernel itself.
    #[must_use]
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// Which kernel this is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its symbols; in the view of a program, that program's.
    #[must_use]
    pub fn symbols(&self) -> &SymbolTable {
        self.program
            .as_ref()
            .map_or(&self.symbols, Program::symbols)
    }

    /// The symbols of the kernel itself.
    #[must_use]
    pub fn kernel_symbols(&self) -> &SymbolTable {
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

    /// Bytes of the image at a link address; `None` outside what the file holds (`.bss`, gaps). In the view of a program,
    /// that program's code.
    #[must_use]
    pub fn read(&self, addr: LinkAddr, len: usize) -> Option<&[u8]> {
        if let Some(program) = &self.program {
            return program.code(addr, len);
        }
        self.rest(addr)?.get(..len)
    }

    /// The file's bytes from a link address to the end of its section.
    pub(crate) fn rest(&self, addr: LinkAddr) -> Option<&[u8]> {
        match &self.module {
            Some(module) if addr >= MODULE_LINK_BASE => module.rest(addr),
            _ => self.image.sections.rest(self.image.bytes(), addr),
        }
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
        sections.filter_map(|section| {
            Some((section.addr, self.image.bytes().get(section.file.clone())?))
        })
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

    /// How stack frames of the kernel are left.
    pub fn orc(&self) -> Result<&Orc, SymbolError> {
        if let Some(read) = self.orc.get() {
            return Ok(read);
        }
        let read = orc::read(self)?;
        Ok(self.orc.get_or_init(|| read))
    }

    /// The line of the source that the instruction at an address comes from; needs DWARF.
    ///
    /// Of code that was inlined it is the line in the inlined function.
    pub fn source_line(&self, addr: LinkAddr) -> Result<Option<SourceLine>, SymbolError> {
        Ok(self.lines()?.at(addr))
    }

    /// Where the statements of a line start, by address; none when the compiler left no code of it. Needs DWARF.
    ///
    /// `file` is a path in the source or the end of one: `kernel/sched/core.c`, `core.c`.
    pub fn addresses_of_line(&self, file: &str, line: u64) -> Result<Vec<LinkAddr>, SymbolError> {
        Ok(self.lines()?.addresses(file, line))
    }

    /// Arguments and local variables in scope at an address, innermost last. Needs DWARF.
    pub fn variables_at(&self, addr: LinkAddr) -> Result<Vec<LocalVariable>, SymbolError> {
        let debug = self.debug.as_ref().ok_or(SymbolError::NoDwarf)?;
        let unit = self.lines()?.unit_at(addr);
        Ok(unit
            .and_then(|unit| variables(debug, unit, addr.0))
            .unwrap_or_default())
    }

    fn lines(&self) -> Result<&Lines, SymbolError> {
        let debug = self.debug.as_ref().ok_or(SymbolError::NoDwarf)?;
        Ok(self.lines.get_or_init(|| Lines::open(debug.clone())))
    }

    /// The ELF image: what a bzImage unpacks to, or the vmlinux as given. QEMU boots it through its PVH note.
    #[must_use]
    pub fn elf(&self) -> &[u8] {
        self.image.bytes()
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

/// From the symbol table of the first image that has one, else from kallsyms of the last.
fn read_symbols(images: &[&Image]) -> Result<SymbolTable, SymbolError> {
    let from_symtab = |image: &&Image| {
        Some((
            symtab::read(image.bytes(), &image.sections)?,
            image.sections.clone(),
        ))
    };
    let (builder, sections) = match images.iter().find_map(from_symtab) {
        Some(found) => found,
        None => {
            let image = images.last().ok_or(SymbolError::NoInput)?;
            let builder = kallsyms::read(image.bytes(), &image.sections);
            (
                builder.map_err(|problem| SymbolError::NoSymbols { problem })?,
                image.sections.clone(),
            )
        }
    };
    let areas = sections
        .in_memory()
        .map(|section| (section.addr, section.end()));
    Ok(builder.finish(areas.collect()))
}

fn read_types(
    images: &[&Image],
    debug: Option<&Arc<DebugSections>>,
    origin: TypeOrigin,
) -> Result<Types, SymbolError> {
    let btf = images
        .iter()
        .find_map(|image| image.section(".BTF"))
        .filter(|_| origin != TypeOrigin::Dwarf);
    let debug = debug.filter(|_| origin != TypeOrigin::Btf);
    match (btf, debug, origin) {
        (Some(section), ..) => btf::read(section),
        (None, Some(debug), _) => Ok(Types::lazy(debug.clone())),
        (None, None, TypeOrigin::Dwarf) => Err(SymbolError::NoDwarf),
        (None, None, _) => Err(SymbolError::NoTypes),
    }
}
