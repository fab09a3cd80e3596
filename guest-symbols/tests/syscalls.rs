//! System calls of real kernels against the headers of user space and the machine code of the kernel.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use guest_symbols::{Abi, Kernel, LinkAddr, Syscall};
use guesttrace_tests::{kernel, skip};

/// Kernels that every checkout tests; the others only where they were fetched.
const REQUIRED: [&str; 3] = ["6.1-amd64", "6.1-cloud-amd64", "6.12-amd64"];
const OTHERS: [&str; 3] = ["5.10-amd64", "6.1-rt-amd64", "7.2-amd64"];

fn read(name: &str) -> Option<Kernel> {
    let files = kernel(name)?;
    Some(
        Kernel::from_vecs(
            Some(std::fs::read(files.vmlinuz).expect("the kernel is readable")),
            None,
        )
        .expect("a kernel"),
    )
}

fn of_abi(kernel: &Kernel, abi: Abi) -> Vec<&Syscall> {
    kernel
        .syscalls()
        .expect("system calls")
        .iter()
        .filter(|it| it.abi == abi)
        .collect()
}

/// Numbers by name in a header such as `asm/unistd_64.h`.
fn header(bits: u32) -> Option<BTreeMap<String, u32>> {
    let path = format!("/usr/include/x86_64-linux-gnu/asm/unistd_{bits}.h");
    let text = std::fs::read_to_string(path).ok()?;
    let defines = text
        .lines()
        .filter_map(|line| line.strip_prefix("#define __NR_")?.split_once(' '));
    Some(
        defines
            .filter_map(|(name, number)| Some((name.to_owned(), number.trim().parse().ok()?)))
            .collect(),
    )
}

#[test]
fn numbers_and_names_are_those_of_the_headers() {
    for (abi, bits) in [(Abi::X64, 64), (Abi::Ia32, 32)] {
        let Some(header) = header(bits) else {
            skip!("asm/unistd_{bits}.h is not installed")
        };
        for name in REQUIRED {
            let Some(kernel) = read(name) else {
                skip!("kernel {name} was not fetched")
            };
            let calls = of_abi(&kernel, abi);
            // The headers may be older than the kernel, so a number they lack says nothing; one name has one number.
            for call in &calls {
                let number = header.get(&call.name);
                assert!(
                    number.is_none_or(|number| *number == call.number),
                    "{name}: {call:?} is {number:?} in the header"
                );
            }
            let named = calls
                .iter()
                .filter(|it| header.contains_key(&it.name))
                .count();
            assert!(
                named >= 345,
                "{name}: only {named} calls of {abi:?} are in the header"
            );
            assert!(calls.iter().filter(|it| it.function.is_some()).count() >= 345);
        }
    }
}

#[test]
fn arguments_are_those_of_the_source() {
    for name in REQUIRED {
        let Some(kernel) = read(name) else {
            skip!("kernel {name} was not fetched")
        };
        let calls = of_abi(&kernel, Abi::X64);
        let openat = calls.iter().find(|it| it.name == "openat").unwrap();
        let pairs: Vec<(&str, &str)> = openat
            .arguments
            .iter()
            .map(|(n, t)| (n.as_str(), t.as_str()))
            .collect();
        let truth = [
            ("dfd", "int"),
            ("filename", "const char *"),
            ("flags", "int"),
            ("mode", "umode_t"),
        ];
        assert_eq!(
            (openat.number, pairs.as_slice()),
            (257, truth.as_slice()),
            "{name}"
        );
        let symbols = kernel.symbols();
        assert_eq!(openat.function, symbols.address("__x64_sys_openat"));
        let stat = calls.iter().find(|it| it.name == "stat").unwrap();
        assert_eq!(
            (stat.number, stat.function),
            (4, symbols.address("__x64_sys_newstat"))
        );
    }
}

/// Instructions by address: the address of the next, and the text.
type Code = HashMap<u64, (u64, String)>;

/// Follows the compares and jumps of a switch compiled without a table; the address it leaves to.
fn run_switch(code: &Code, start: u64, number: u64) -> Option<u64> {
    let (mut at, mut compared) = (start, 0);
    for _ in 0..1000 {
        let Some((next, text)) = code.get(&at) else {
            return Some(at);
        };
        let (operation, operand) = text.split_once(' ').unwrap_or((text, ""));
        let operand = operand.trim();
        let target =
            || u64::from_str_radix(operand.split(' ').next()?.trim_start_matches("0x"), 16).ok();
        let jump = match operation {
            "cmp" => {
                compared = u64::from_str_radix(operand.strip_prefix("$0x")?.split(',').next()?, 16)
                    .ok()?;
                false
            }
            "test" => {
                compared = 0;
                false
            }
            "je" => number == compared,
            "jne" => number != compared,
            "ja" => number > compared,
            "jae" => number >= compared,
            "jb" => number < compared,
            "jbe" => number <= compared,
            "jmp" => true,
            "endbr64" | "nop" | "nopl" | "nopw" | "xchg" | "push" | "mov" => false,
            // The entry's call of ftrace; any other leaves.
            "call" if at < start + 16 => false,
            "call" => return target(),
            _ => return None,
        };
        at = if jump { target()? } else { *next };
    }
    None
}

fn disassemble(elf: &Path, start: u64, end: u64) -> Code {
    let mut command = Command::new("objdump");
    command.args(["-d", "--no-show-raw-insn"]).arg(elf);
    command.args([
        format!("--start-address={start:#x}"),
        format!("--stop-address={end:#x}"),
    ]);
    let text = String::from_utf8(command.output().expect("objdump runs").stdout).expect("text");
    let parse = |line: &str| {
        let (addr, text) = line.split_once(":\t")?;
        Some((u64::from_str_radix(addr.trim(), 16).ok()?, text.to_owned()))
    };
    let lines: Vec<(u64, String)> = text.lines().filter_map(parse).collect();
    let nexts = lines.iter().skip(1).map(|(addr, _)| *addr).chain([end]);
    lines
        .iter()
        .zip(nexts)
        .map(|((addr, text), next)| (*addr, (next, text.clone())))
        .collect()
}

#[test]
fn functions_of_32_bit_calls_are_those_of_the_switch() {
    for name in REQUIRED {
        let Some(kernel) = read(name) else {
            skip!("kernel {name} was not fetched")
        };
        check_switch(name, &kernel);
    }
    for (name, kernel) in OTHERS.iter().filter_map(|name| Some((name, read(name)?))) {
        check_switch(name, &kernel);
    }
}

fn check_switch(name: &str, kernel: &Kernel) {
    let symbols = kernel.symbols();
    // Kernels before the switch have a table, which is read.
    let Some(switch) = symbols.all("ia32_sys_call").next() else {
        return;
    };
    let mut elf = tempfile::NamedTempFile::new().expect("a temporary file");
    std::io::Write::write_all(&mut elf, kernel.elf()).expect("written");
    let code = disassemble(elf.path(), switch.addr.0, switch.addr.0 + switch.size);
    let mut wrong = Vec::new();
    for call in of_abi(kernel, Abi::Ia32) {
        let served = run_switch(&code, switch.addr.0, call.number.into()).map(LinkAddr);
        let names: Vec<_> = served
            .map(|at| symbols.exactly_at(at).collect())
            .unwrap_or_default();
        let is_missing = names
            .iter()
            .any(|it| it.kind == 'W' || it.name.ends_with("ni_syscall"));
        if names.is_empty() || call.function != served.filter(|_| !is_missing) {
            wrong.push((
                call.number,
                &call.name,
                served,
                call.function.and_then(|at| symbols.at(at)),
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{name}: {} wrong: {:#x?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );
}
