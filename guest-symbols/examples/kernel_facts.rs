//! Prints how much is known of a kernel and how long it took to read.
//!
//! usage: `kernel_facts [--dwarf] [--vmlinux FILE] [FILE]`; `--dwarf` takes types from DWARF even where there is BTF.

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::time::Instant;

use guest_symbols::{ImageBytes, Kernel, NameKind, SymbolError, TypeOrigin};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (mut kernel, mut vmlinux, mut origin) = (None, None, TypeOrigin::Best);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--dwarf" => origin = TypeOrigin::Dwarf,
            "--vmlinux" => {
                vmlinux = Some(std::fs::read(args.next().ok_or("--vmlinux needs a file")?)?)
            }
            path => kernel = Some(std::fs::read(path)?),
        }
    }
    let images = (kernel.map(ImageBytes::new), vmlinux.map(ImageBytes::new));
    let kernel = timed("read", || Kernel::from_images(images.0, images.1, origin))?;
    let identity = kernel.identity();
    println!("{} with build id {}", identity.release, identity.build_id);
    println!(
        "{} symbols, {} bytes of ELF",
        kernel.symbols().len(),
        kernel.elf().len()
    );
    timed("types", || types(&kernel));
    timed("tracepoints", || tracepoints(&kernel))?;
    timed("system calls", || syscalls(&kernel))?;
    timed("lines", || lines(&kernel));
    Ok(())
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = work();
    println!("{what}: {:?}", start.elapsed());
    out
}

fn types(kernel: &Kernel) {
    let types = kernel.types();
    for kind in [
        NameKind::Struct,
        NameKind::Union,
        NameKind::Enum,
        NameKind::Typedef,
        NameKind::Function,
    ] {
        println!("{} names of {kind:?}", types.names(kind).len());
    }
    let pid = types
        .struct_named("task_struct")
        .and_then(|id| types.member(id, "pid"));
    println!(
        "task_struct.pid at {:?}",
        pid.and_then(|place| place.byte_offset())
    );
}

fn tracepoints(kernel: &Kernel) -> Result<(), SymbolError> {
    let all = kernel.tracepoints()?;
    let sites: usize = all.iter().map(|it| it.sites.len()).sum();
    let with_sites = all.iter().filter(|it| !it.sites.is_empty()).count();
    let with_prototype = all.iter().filter(|it| it.prototype.is_some()).count();
    let with_system = all.iter().filter(|it| it.system.is_some()).count();
    println!("{} tracepoints, {with_sites} with {sites} sites", all.len());
    println!("{with_prototype} with a prototype, {with_system} with a system");
    Ok(())
}

fn syscalls(kernel: &Kernel) -> Result<(), SymbolError> {
    let all = kernel.syscalls()?;
    let with_function = all.iter().filter(|it| it.function.is_some()).count();
    println!(
        "{} system calls, {with_function} with a function",
        all.len()
    );
    Ok(())
}

fn lines(kernel: &Kernel) {
    let schedule = kernel.symbols().address("schedule").unwrap_or_default();
    match kernel.source_line(schedule) {
        Ok(Some(at)) => println!("schedule() is at {}:{}", at.file, at.line),
        Ok(None) => println!("schedule() has no line"),
        Err(error) => println!("{error}"),
    }
}
