//! System calls of real kernels against the headers of user space and the machine code of the kernel.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use guest_symbols::{Abi, Kernel, Syscall};
use guesttrace_tests::{kernel, skip};

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
        for name in ["6.1-amd64", "6.1-cloud-amd64", "6.12-amd64"] {
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
    for name in ["6.1-amd64", "6.1-cloud-amd64", "6.12-amd64"] {
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

/// Follows the compares and jumps of a switch compiled without a table, for every number.
fn run_switch(code: &HashMap<u64, (u64, String)>, start: u64, number: u64) -> Option<String> {
    let (mut at, mut compared) = (start, 0);
    for _ in 0..1000 {
        let (next, text) = code.get(&at)?;
        let (operation, operand) = text.split_once(' ').unwrap_or((text, ""));
        let operand = operand.trim();
        let target = || u64::from_str_radix(operand.split(' ').next()?, 16).ok();
        let jump = match operation {
            "cmp" => {
                compared = u64::from_str_radix(operand.strip_prefix("$0x")?.split(',').next()?, 16)
                    .ok()?;
                false
            }
            "je" => number == compared,
            "jne" => number != compared,
            "ja" => number > compared,
            "jbe" => number <= compared,
            "jmp" if !operand.contains('+') => {
                return Some(operand.split(['<', '>']).nth(1)?.to_owned());
            }
            "jmp" => true,
            "call" => false,
            _ => return None,
        };
        at = if jump { target()? } else { *next };
    }
    None
}

fn disassemble(vmlinux: &Path, function: &str) -> (u64, HashMap<u64, (u64, String)>) {
    let mut command = Command::new("objdump");
    command
        .args([
            "-d",
            "--no-show-raw-insn",
            &format!("--disassemble={function}"),
        ])
        .arg(vmlinux);
    let text = String::from_utf8(command.output().expect("objdump runs").stdout).expect("text");
    let parse = |line: &str| {
        let (addr, text) = line.split_once(":\t")?;
        Some((u64::from_str_radix(addr.trim(), 16).ok()?, text.to_owned()))
    };
    let lines: Vec<(u64, String)> = text.lines().filter_map(parse).collect();
    let nexts = lines.iter().skip(1).map(|(addr, _)| *addr).chain([0]);
    let code = lines
        .iter()
        .zip(nexts)
        .map(|((addr, text), next)| (*addr, (next, text.clone())));
    (
        lines.first().expect("the function has code").0,
        code.collect(),
    )
}

#[test]
fn functions_of_32_bit_calls_are_those_of_the_switch() {
    let Some(files) = kernel("6.1-cloud-amd64") else {
        skip!("kernel 6.1-cloud-amd64 was not fetched")
    };
    let Some(vmlinux) = files.vmlinux else {
        skip!("vmlinux of 6.1-cloud-amd64 was not fetched")
    };
    let Some(kernel) = read("6.1-cloud-amd64") else {
        skip!("kernel 6.1-cloud-amd64 was not fetched")
    };
    let (start, code) = disassemble(&vmlinux, "ia32_sys_call");
    let symbols = kernel.symbols();
    let mut wrong = Vec::new();
    for call in of_abi(&kernel, Abi::Ia32) {
        let served =
            run_switch(&code, start, call.number.into()).expect("the switch ends in a jump");
        let truth = symbols.all(&served).next();
        let truth = truth.filter(|symbol| symbol.kind != 'W' && !served.contains("ni_syscall"));
        if call.function != truth.map(|symbol| symbol.addr) {
            wrong.push((
                call.number,
                &call.name,
                served,
                call.function
                    .and_then(|at| symbols.at(at))
                    .map(|(it, _)| it.name),
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
