//! Lines of the source against `addr2line`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use guest_symbols::{Kernel, LinkAddr};
use guesttrace_tests::{kernel, skip};

#[test]
fn lines_are_those_of_addr2line() {
    let Some(files) = kernel("6.1-cloud-amd64") else {
        skip!("kernel 6.1-cloud-amd64 was not fetched")
    };
    let Some(vmlinux) = &files.vmlinux else {
        skip!("vmlinux of 6.1-cloud-amd64 was not fetched")
    };
    let kernel = Kernel::from_vecs(None, Some(std::fs::read(vmlinux).unwrap())).unwrap();
    let functions = kernel
        .symbols()
        .iter()
        .filter(|it| matches!(it.kind, 't' | 'T') && it.size > 64);
    let addresses: Vec<LinkAddr> = functions
        .step_by(150)
        .flat_map(|it| [it.addr, LinkAddr(it.addr.0 + it.size / 2)])
        .collect();
    let mut tool = Command::new("addr2line");
    tool.arg("-e")
        .arg(vmlinux)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut tool = tool.spawn().expect("addr2line runs");
    let mut input = tool.stdin.take().unwrap();
    let text: String = addresses.iter().map(|addr| format!("{addr}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = tool.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let (mut known, mut same_file) = (0, 0);
    for (addr, truth) in addresses.iter().zip(output.lines()) {
        let truth = truth.split(" (discriminator").next().unwrap();
        let (file, line) = truth.rsplit_once(':').unwrap();
        match kernel.source_line(*addr).unwrap() {
            Some(found) => {
                assert_eq!(
                    line,
                    found.line.to_string(),
                    "{addr}: {truth}, not {found:?}"
                );
                known += 1;
                // Where a function stands in a header, addr2line of binutils names the file that includes it.
                same_file += usize::from(file.ends_with(&found.file));
            }
            None => assert!(matches!(line, "?" | "0"), "{addr}: {truth}, not nothing"),
        }
    }
    assert!(
        same_file * 100 > known * 97,
        "the file is another for {} of {known}",
        known - same_file
    );
    assert!(
        known > 300,
        "only {known} of {} addresses have a line",
        addresses.len()
    );
}

#[test]
fn a_line_has_the_addresses_that_come_from_it() {
    let Some(files) = kernel("6.1-cloud-amd64") else {
        skip!("kernel 6.1-cloud-amd64 was not fetched")
    };
    let Some(vmlinux) = &files.vmlinux else {
        skip!("vmlinux of 6.1-cloud-amd64 was not fetched")
    };
    let kernel = Kernel::from_vecs(None, Some(std::fs::read(vmlinux).unwrap())).unwrap();
    let schedule = kernel.symbols().address("schedule").unwrap();
    let place = kernel.source_line(schedule).unwrap().unwrap();
    assert_eq!(place.file, "kernel/sched/core.c");
    for file in ["kernel/sched/core.c", "sched/core.c", "core.c"] {
        let addresses = kernel.addresses_of_line(file, place.line).unwrap();
        assert!(addresses.contains(&schedule), "{file}: {addresses:x?}");
        for addr in addresses {
            assert_eq!(
                kernel.source_line(addr).unwrap().map(|it| it.line),
                Some(place.line)
            );
        }
    }
    assert_eq!(kernel.addresses_of_line("ore.c", place.line).unwrap(), []);
}
