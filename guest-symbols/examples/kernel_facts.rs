//! Prints what is known of a kernel and how long it took: `kernel_facts [--dwarf] [--vmlinux FILE] [FILE]`.

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::time::Instant;

use guest_symbols::{ImageBytes, Kernel, NameKind, TypeOrigin};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (mut kernel, mut vmlinux) = (None, None);
    let mut origin = TypeOrigin::Best;
    while let Some(arg) = args.next() {
        if arg == "--dwarf" {
            origin = TypeOrigin::Dwarf;
            continue;
        }
        let is_vmlinux = arg == "--vmlinux";
        let path = if is_vmlinux {
            args.next().ok_or("--vmlinux needs a file")?
        } else {
            arg
        };
        let file = if is_vmlinux {
            &mut vmlinux
        } else {
            &mut kernel
        };
        *file = Some(ImageBytes::new(std::fs::read(path)?));
    }
    let start = Instant::now();
    let kernel = Kernel::from_images(kernel, vmlinux, origin)?;
    println!("{:?} to read {:?}", start.elapsed(), kernel.identity());
    let start = Instant::now();
    println!(
        "{} symbols, per_cpu(current_task) {:x?}",
        kernel.symbols().len(),
        kernel.per_cpu("current_task")
    );
    println!("{} bytes of ELF", kernel.elf().len());
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
    println!("{:?} to read types", start.elapsed());
    let start = Instant::now();
    let tracepoints = kernel.tracepoints()?;
    let sites: usize = tracepoints.iter().map(|it| it.sites.len()).sum();
    let count = |test: fn(&guest_symbols::Tracepoint) -> bool| {
        tracepoints.iter().filter(|it| test(it)).count()
    };
    println!(
        "{} tracepoints, {} with sites ({sites}), {} with a prototype, {} with a system; {:?}",
        tracepoints.len(),
        count(|it| !it.sites.is_empty()),
        count(|it| it.prototype.is_some()),
        count(|it| it.system.is_some()),
        start.elapsed()
    );
    let start = Instant::now();
    let syscalls = kernel.syscalls()?;
    let known = syscalls.iter().filter(|it| it.function.is_some()).count();
    println!(
        "{} system calls, {known} with a function; {:?}",
        syscalls.len(),
        start.elapsed()
    );
    let schedule = kernel.symbols().address("schedule").unwrap_or_default();
    let start = Instant::now();
    println!(
        "schedule is at {:?}; {:?}",
        kernel.source_line(schedule),
        start.elapsed()
    );
    let start = Instant::now();
    let addresses = kernel.addresses_of_line("kernel/sched/core.c", 6700);
    println!("core.c:6700 is at {addresses:x?}; {:?}", start.elapsed());
    Ok(())
}
