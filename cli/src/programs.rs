//! Programs that probes of user space are in: read where the user says they are.

use std::path::Path;

use anyhow::{Context as _, Result};
use guest_symbols::{ImageBytes, Kernel, Program};

use crate::Usage;

/// Reads the programs of that names for a kernel to run.
pub(crate) fn add_programs(kernel: &mut Kernel, names: &[String]) -> Result<()> {
    for name in names {
        if kernel.program_view(name).is_none() {
            let bytes = read(name)?;
            let program = Program::read(ImageBytes::new(bytes))
                .with_context(|| format!("cannot watch {name}"))?;
            kernel.add_program(name, program);
        }
    }
    Ok(())
}

/// What tells a program from another one of that name: for caches.
pub(crate) fn stamp(name: &str) -> String {
    crate::record::file_stamp(Path::new(name))
}

fn read(name: &str) -> Result<Vec<u8>> {
    std::fs::read(name).map_err(|error| {
        Usage::new(format!("cannot read the program {name}: {error}"))
            .hint("is the name right, and may you read it?")
            .into()
    })
}
