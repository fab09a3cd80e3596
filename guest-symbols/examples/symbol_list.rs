//! Prints the symbols of a kernel as `nm -n` does: `symbol_list FILE`.

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use guest_symbols::Kernel;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: symbol_list FILE")?;
    let kernel = Kernel::from_vecs(Some(std::fs::read(path)?), None)?;
    for symbol in kernel.symbols().iter() {
        println!("{:016x} {} {}", symbol.addr, symbol.kind, symbol.name);
    }
    Ok(())
}
