//! Prints the system calls of a kernel: `syscall_list FILE`.

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use guest_symbols::Kernel;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: syscall_list FILE")?;
    let kernel = Kernel::from_vecs(Some(std::fs::read(path)?), None)?;
    for call in kernel.syscalls()? {
        let symbol = call
            .function
            .and_then(|addr| kernel.symbols().at(addr))
            .map_or("-", |(symbol, _)| symbol.name);
        let arguments: Vec<String> = call
            .arguments
            .iter()
            .map(|(name, kind)| format!("{kind} {name}"))
            .collect();
        println!(
            "{:?} {} {} {symbol} ({})",
            call.abi,
            call.number,
            call.name,
            arguments.join(", ")
        );
    }
    Ok(())
}
