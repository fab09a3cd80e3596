//! A kernel that breaks: what it did is in the trace, what it said is there and on the terminal.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use guest_symbols::Kernel;
use guesttrace_tests::{Cage, End, events, guest_arguments, guests_wanted, kernel, skip};
use trace_format::TraceFile;

use super::{KERNEL, wait_until};

/// A system call that nothing but the command below makes.
const BROKEN: &str = "__x64_sys_sethostname";
/// A program that runs into it, and a panic after that.
const COMMANDS: &str =
    r#"rdinit=/bin/sh -- -c "mount -t proc proc /proc; (hostname x); echo c >/proc/sysrq-trigger""#;
/// Kernel addresses less physical ones.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// The debugger's end of a QEMU that waits for one.
struct Debugger {
    stream: UnixStream,
}

impl Debugger {
    fn connect(socket: &Path) -> Self {
        let mut stream = None;
        wait_until("QEMU listens", || {
            stream = UnixStream::connect(socket).ok();
            stream.is_some()
        });
        let stream = stream.expect("it was waited for");
        Self { stream }
    }

    /// Sends a packet of the remote protocol and takes the answer.
    fn ask(&mut self, text: &str) -> String {
        let sum = text.bytes().fold(0u8, u8::wrapping_add);
        write!(self.stream, "${text}#{sum:02x}").expect("QEMU is there");
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.contains(&b'#') {
            self.stream.read_exact(&mut byte).expect("QEMU answers");
            answer.push(byte[0]);
        }
        self.stream.write_all(b"+").expect("QEMU is there");
        let answer = String::from_utf8_lossy(&answer);
        let content = answer.trim_start_matches(['+', '$']);
        content.trim_end_matches('#').to_owned()
    }
}

/// Where the first instruction of a function is behind the call for ftrace, which the kernel looks at when it starts.
fn behind_start(kernel: &Kernel, function: &str) -> u64 {
    let address = kernel
        .symbols()
        .address(function)
        .expect("it is in every kernel");
    let is_landing = kernel.read(address, 4) == Some(&[0xf3, 0x0f, 0x1e, 0xfa]);
    address.0 + if is_landing { 9 } else { 5 }
}

#[test]
fn a_kernel_that_breaks_is_recorded_to_its_last_line() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let cage = Cage::new();
    let files = kernel(KERNEL).expect("the kernel is fetched");
    let image = std::fs::read(&files.vmlinuz).expect("the kernel is fetched");
    let symbols = Kernel::from_bytes(Some(&image), None).expect("a kernel");
    let broken = behind_start(&symbols, BROKEN);

    let socket = cage.path("gdb");
    let mut command = cage.program("record");
    let mut arguments = guest_arguments(KERNEL, "boot")
        .expect("the image is built")
        .into_iter();
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        if option != "--rootfs" {
            command.arg(option).arg(value);
        }
    }
    command.args(["--quiet", "--trace", "out/trace.bin", "--append", COMMANDS]);
    command.args(["--", "-S", "-gdb"]);
    command.arg(format!("unix:{},server=on,wait=off", socket.display()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let recording = command.spawn().expect("the program is built");
    let mut debugger = Debugger::connect(&socket);
    // Neither paging nor the kernel has begun: addresses are physical. The instruction is UD2, which is never valid.
    let physical = broken - KERNEL_MAP;
    assert_eq!(debugger.ask(&format!("M{physical:x},2:0f0b")), "OK");
    debugger.ask("D");
    let end = End::of(&recording.wait_with_output().expect("it was started"));

    let panic = "Kernel panic - not syncing: sysrq triggered crash";
    end.assert_error(1, panic, "the trace shows what led there");
    cage.assert_tidy();
    assert_eq!(cage.outputs(), ["trace.bin"]);
    let trace = TraceFile::open(cage.trace()).expect("a trace");
    let trailer = trace.trailer().expect("it is complete");
    assert_eq!(trailer.end_reason, "panic");

    let rows = events(&cage.trace(), &["--event", "oops,panic,printk"]);
    let named = |name: &'static str| rows.iter().filter(move |row| row.name() == name);
    let oops: Vec<_> = named("oops").collect();
    assert_eq!(oops.len(), 1, "{oops:?}");
    assert_eq!(oops[0].text("reason"), "invalid opcode");
    assert_eq!(oops[0].field("ip").cast_unsigned(), broken);
    assert_eq!(oops[0].comm(), "hostname");
    let name = oops[0].json["symbols"]["ip"].as_str();
    assert!(
        name.is_some_and(|name| name.starts_with(BROKEN)),
        "{name:?}"
    );
    assert_eq!(named("panic").count(), 1);
    for line in [
        "invalid opcode: 0000 [#1]",
        BROKEN,
        panic,
        "Kernel Offset: disabled",
    ] {
        let in_trace = named("printk").any(|row| row.text("text").contains(line));
        assert!(in_trace, "{line:?} is not in the trace");
        assert!(end.out.contains(line), "{line:?} is not on the terminal");
    }
}
