//! Prints the tracepoints of a kernel: `tracepoint_list FILE`.

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use guest_symbols::Kernel;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: tracepoint_list FILE")?;
    let kernel = Kernel::from_vecs(Some(std::fs::read(path)?), None)?;
    for it in kernel.tracepoints()? {
        let prototype = it
            .prototype
            .map(|id| kernel.types().c_name(id))
            .unwrap_or_default();
        println!(
            "{}:{} {} sites {prototype}",
            it.system.as_deref().unwrap_or("-"),
            it.name,
            it.sites.len()
        );
    }
    Ok(())
}
