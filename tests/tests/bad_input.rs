//! Input that cannot be used: one sentence, one hint, the exit status of the contract, and nothing left behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use guest_symbols::Kernel;
use guesttrace_tests::{Cage, KernelFiles, guesttrace, kernel, project_dir, skip};

const KERNEL: &str = "6.1-amd64";

/// Options of a recording, the error, the hint.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

/// Ends the test when there is no program or no kernel to test with.
macro_rules! kernel_or_skip {
    ($name:expr) => {{
        if !guesttrace().exists() {
            skip!("{} does not exist", guesttrace().display());
        }
        match kernel($name) {
            Some(kernel) => kernel,
            None => skip!("kernel {} was not fetched", $name),
        }
    }};
}

/// Options that would do, each of which a case can replace by one that does not.
fn usable(cage: &Cage, kernel: &KernelFiles) -> Vec<(String, String)> {
    let initrd = cage.write("initrd", b"070701");
    [("--kernel", &kernel.vmlinuz), ("--initrd", &initrd)]
        .map(|(option, path)| (option.to_owned(), path.to_string_lossy().into_owned()))
        .to_vec()
}

/// Records with options that replace or follow the usable ones; an empty value takes the option away.
#[track_caller]
fn check_record(
    cage: &Cage,
    kernel: &KernelFiles,
    options: &[(&str, &str)],
    environment: &[(&str, &str)],
    message: &str,
    hint: &str,
) {
    let mut all = usable(cage, kernel);
    all.retain(|(name, _)| options.iter().all(|(option, _)| option != name));
    let own = options.iter().filter(|(_, value)| !value.is_empty());
    all.extend(own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut command = cage.record();
    command.envs(environment.iter().copied());
    for (name, value) in all {
        command.arg(name).arg(value);
    }
    let end = cage.run(&mut command);
    end.assert_error(2, message, hint);
    assert_eq!(end.out, "");
    assert_eq!(cage.outputs(), Vec::<String>::new());
    assert_eq!(cage.console(), "", "a guest was started");
}

fn fake_program(cage: &Cage, name: &str, says: &str) -> String {
    let path = cage.write(name, format!("#!/bin/sh\necho '{says}'\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    path.to_string_lossy().into_owned()
}

#[test]
fn qemu_is_missing_or_too_old() {
    let kernel = kernel_or_skip!(KERNEL);
    let cage = Cage::new();
    let old = fake_program(
        &cage,
        "old",
        "QEMU emulator version 7.2.0 (Debian 1:7.2+dfsg-7)",
    );
    let other = fake_program(&cage, "other", "true (GNU coreutils) version 10.1");
    let cases = [
        (
            "PATH",
            "/nonexistent",
            "cannot run QEMU as qemu-system-x86_64: No such file",
        ),
        (
            "GUESTTRACE_QEMU",
            "/nonexistent/qemu",
            "cannot run QEMU as /nonexistent/qemu: No such file",
        ),
        (
            "GUESTTRACE_QEMU",
            old.as_str(),
            "QEMU 7.2.0 cannot load the plugin: 9.2 to 10.1, or 11.1 or later can",
        ),
        ("GUESTTRACE_QEMU", other.as_str(), "other is not QEMU"),
    ];
    for (variable, value, message) in cases {
        let environment = [(variable, value), ("GUESTTRACE_PREFIX", "/nonexistent")];
        check_record(
            &cage,
            &kernel,
            &[],
            &environment,
            message,
            "scripts/setup.sh installs",
        );
    }
}

#[test]
fn the_kernel_is_none() {
    let kernel = kernel_or_skip!(KERNEL);
    let cage = Cage::new();
    let bytes = fs::read(&kernel.vmlinuz).unwrap();
    let mut scratched = bytes.clone();
    scratched[bytes.len() / 2..][..4096].fill(0x5a);
    let files: [(&str, &[u8], &str, &str); 7] = [
        (
            "text",
            b"vmlinuz goes here\n",
            "the file is text",
            "pass the vmlinuz",
        ),
        ("empty", b"", "the file is empty", "pass the bzImage"),
        (
            "initramfs",
            b"070701000002D1000041ED",
            "the file is a cpio archive",
            "pass the bzImage",
        ),
        (
            "gzip",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0",
            "the file is a gzip file",
            "unpack it first",
        ),
        (
            "cut",
            &bytes[..3_000_000],
            "the kernel image is cut short",
            "copy the file again",
        ),
        (
            "cut-early",
            &bytes[..900],
            "the kernel image is cut short",
            "copy the file again",
        ),
        (
            "scratched",
            &scratched,
            "payload does not unpack",
            "copy it again",
        ),
    ];
    for (name, bytes, message, hint) in files {
        let path = cage.write(name, bytes);
        let path = path.to_str().unwrap();
        for boot in ["bzimage", "pvh"] {
            let options = [("--kernel", path), ("--boot", boot)];
            check_record(&cage, &kernel, &options, &[], message, hint);
        }
    }
    let missing = [("--kernel", "nowhere/vmlinuz")];
    check_record(
        &cage,
        &kernel,
        &missing,
        &[],
        "cannot read the kernel nowhere/vmlinuz: No such file",
        "is the name right",
    );
    check_record(
        &cage,
        &kernel,
        &[("--kernel", "/")],
        &[],
        "cannot read the kernel /: Is a directory",
        "is the name right",
    );
    check_record(
        &cage,
        &kernel,
        &[("--kernel", "")],
        &[],
        "no kernel to boot",
        "pass --kernel bzImage",
    );
}

#[test]
fn the_vmlinux_is_of_another_build() {
    let kernel = kernel_or_skip!(KERNEL);
    let Some(vmlinux) = guesttrace_tests::kernel("6.1-cloud-amd64").and_then(|other| other.vmlinux)
    else {
        skip!("the vmlinux of 6.1-cloud-amd64 was not fetched");
    };
    let options = [("--vmlinux", vmlinux.to_str().unwrap())];
    let message = "the kernel and the vmlinux are of different builds";
    let hint = "pass the vmlinux from the debug package of exactly that kernel";
    check_record(&Cage::new(), &kernel, &options, &[], message, hint);
}

/// Writes over every occurrence.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut found = false;
    for start in 0..=bytes.len() - from.len() {
        if bytes[start..].starts_with(from) {
            bytes[start..start + from.len()].copy_from_slice(to);
            found = true;
        }
    }
    assert!(found, "the image has no {from:?}");
}

#[test]
fn the_kernel_says_too_little_of_itself() {
    let kernel = kernel_or_skip!(KERNEL);
    let cage = Cage::new();
    let bytes = fs::read(&kernel.vmlinuz).unwrap();
    let image = Kernel::from_bytes(Some(&bytes), None)
        .unwrap()
        .elf()
        .to_vec();
    let mut typeless = image.clone();
    replace(&mut typeless, b"\0.BTF\0", b"\0.XYZ\0");
    let mut nameless = image;
    // The digits of kallsyms' token table, by which it is found.
    let digits = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0";
    replace(&mut nameless, digits, &[0xff; 20]);
    let cases = [
        (
            "typeless",
            typeless,
            "the kernel has no type information: no .BTF section and no DWARF",
            "CONFIG_DEBUG_INFO_BTF",
        ),
        (
            "nameless",
            nameless,
            "no symbols in the kernel: it has no symbol table, and its kallsyms token table is not found",
            "CONFIG_KALLSYMS_ALL",
        ),
    ];
    for (name, bytes, message, hint) in cases {
        let path = cage.write(name, bytes);
        let options = [("--kernel", path.to_str().unwrap())];
        check_record(&cage, &kernel, &options, &[], message, hint);
    }
}

#[test]
fn there_is_no_root_file_system() {
    let kernel = kernel_or_skip!(KERNEL);
    let cage = Cage::new();
    cage.write("empty.img", b"");
    let cases: [Case<'_>; 5] = [
        (
            &[("--rootfs", "nowhere.img")],
            "cannot read the root file system nowhere.img: No such file",
            "is the name right",
        ),
        (
            &[("--rootfs", "empty.img")],
            "empty.img is not a file system image",
            "mke2fs -d",
        ),
        (
            &[("--rootfs", "out")],
            "out is not a file system image",
            "mke2fs -d",
        ),
        (
            &[("--initrd", "nowhere.cpio")],
            "cannot read the initial ramdisk nowhere.cpio: No such file",
            "is the name right",
        ),
        (
            &[("--initrd", "")],
            "no root file system: neither --rootfs nor --initrd is given",
            "pass --rootfs rootfs.img",
        ),
    ];
    for (options, message, hint) in cases {
        check_record(&cage, &kernel, options, &[], message, hint);
    }
}

#[test]
fn the_kernel_has_no_driver_for_a_disk() {
    let kernel = kernel_or_skip!(KERNEL);
    let cage = Cage::new();
    cage.write("root.img", vec![0; 1 << 20]);
    check_record(
        &cage,
        &kernel,
        &[("--rootfs", "root.img"), ("--initrd", "")],
        &[],
        "has no built-in driver for an SD card, persistent memory, NVMe or virtio disk",
        "pass --initrd with the driver's module",
    );
}

#[test]
fn events_are_unknown() {
    let kernel = kernel_or_skip!(KERNEL);
    let cage = Cage::new();
    let hint = "`guesttrace list events` names the events";
    let cases = [
        (
            "sched_swich",
            "there is no event or category \"sched_swich\"; did you mean \"sched_switch\"?",
        ),
        (
            "core,qqqqqqqq",
            "there is no event or category \"qqqqqqqq\"",
        ),
    ];
    for (events, message) in cases {
        check_record(&cage, &kernel, &[("--events", events)], &[], message, hint);
    }
}

#[test]
fn outputs_cannot_be_written() {
    let kernel = kernel_or_skip!(KERNEL);
    let cage = Cage::new();
    fs::create_dir(cage.path("directory")).unwrap();
    let image = cage.write("kernel-of-the-user", fs::read(&kernel.vmlinuz).unwrap());
    symlink(&image, cage.path("link")).unwrap();
    let another = "choose another name";
    let writable = "choose a file in a directory that exists";
    let cases: [Case<'_>; 7] = [
        (
            &[("--trace", "nowhere/trace.bin")],
            "cannot write nowhere/trace.bin: No such file",
            writable,
        ),
        (
            &[("--trace", "/proc/trace.bin")],
            "cannot write /proc/trace.bin: ",
            writable,
        ),
        (
            &[("--trace", "directory")],
            "cannot write directory: it is a directory",
            another,
        ),
        (
            &[("--trace", "/dev/null")],
            "cannot write /dev/null: it is no plain file",
            another,
        ),
        (
            &[("--serial", "nowhere/console")],
            "cannot write nowhere/console: No such file",
            writable,
        ),
        (
            &[("--kernel", "kernel-of-the-user"), ("--trace", "link")],
            "link would be overwritten: it is the guest's kernel-of-the-user",
            another,
        ),
        (
            &[("--kernel", "kernel-of-the-user"), ("--serial", "link")],
            "link would be overwritten: it is the guest's kernel-of-the-user",
            another,
        ),
    ];
    for (options, message, hint) in cases {
        // The last --trace and --serial would be one too many.
        let mut command = cage.program("record");
        let mut all = usable(&cage, &kernel);
        all.extend([
            ("--trace".to_owned(), "out/trace.bin".to_owned()),
            ("--serial".to_owned(), "console".to_owned()),
        ]);
        all.retain(|(name, _)| options.iter().all(|(option, _)| option != name));
        for (name, value) in all {
            command.arg(name).arg(value);
        }
        for (name, value) in options {
            command.arg(name).arg(value);
        }
        let end = cage.run(&mut command);
        end.assert_error(2, message, hint);
        assert_eq!(cage.outputs(), Vec::<String>::new());
    }
    assert!(fs::read(&image).unwrap() == fs::read(&kernel.vmlinuz).unwrap());
}

/// A rest that an earlier recording left is not lost by a command that records nothing.
#[test]
fn an_earlier_partial_trace_survives_a_refusal() {
    let kernel = kernel_or_skip!(KERNEL);
    let cage = Cage::new();
    cage.write("out/trace.bin.partial", b"what an earlier recording left");
    let mut command = cage.record();
    command.arg("--kernel").arg(&kernel.vmlinuz);
    let end = cage.run(&mut command);
    end.assert_error(2, "no root file system", "pass --rootfs rootfs.img");
    assert_eq!(
        fs::read(cage.path("out/trace.bin.partial")).unwrap(),
        b"what an earlier recording left"
    );
}

/// Runs a verb that reads a trace.
#[track_caller]
fn check_reader(arguments: &[&str], trace: &Path, status: i32, message: &str, hint: &str) {
    let cage = Cage::new();
    let mut command = cage.program(arguments[0]);
    command.args(&arguments[1..]).arg(trace);
    let end = cage.run(&mut command);
    end.assert_error(status, message, hint);
    assert_eq!(end.out, "", "{arguments:?}");
}

const READERS: [&[&str]; 4] = [&["info"], &["events"], &["verify"], &["report", "summary"]];

#[test]
fn readers_are_given_no_trace() {
    if !guesttrace().exists() {
        skip!("{} does not exist", guesttrace().display());
    }
    let cage = Cage::new();
    let text = cage.write("text", "This is the log of a build.\n".repeat(100));
    let empty = cage.write("empty", b"");
    let start = cage.write("start", b"\x7f");
    for reader in READERS {
        for file in [&text, &empty, &start] {
            let message = "this is no trace";
            check_reader(reader, file, 3, message, "pass a trace of guesttrace");
        }
        let missing = cage.path("missing");
        check_reader(reader, &missing, 2, "missing: No such file", "FILE.partial");
        check_reader(
            reader,
            &cage.path("out"),
            2,
            "out is a directory",
            "name the trace file",
        );
    }
    check_reader(
        &["report", "sumary"],
        &text,
        2,
        "there is no report \"sumary\"",
        "`guesttrace list reports` names them",
    );
    // Sources are not traces either.
    let own = project_dir().join("Cargo.toml");
    check_reader(
        &["info"],
        &own,
        3,
        "Cargo.toml: this is no trace",
        "pass a trace of guesttrace",
    );
}
