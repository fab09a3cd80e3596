//! `guesttrace doctor`: what this machine has of what tracing needs, and how to get the rest.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use analyzer::report::{Cell, Report, Shape, Table, column};
use anyhow::Result;
use clap::Args;
use guest_images::{find_program, installed_program};

use crate::console::Console;
use crate::kernel_image::KernelArgs;
use crate::record::{cache_dir, emulator::Emulator};
use crate::report::Format;

/// A traced run leaves some megabytes a second of guest time; guests and kernels take a few hundred.
const ROOM_MIB_MIN: u64 = 1024;
/// The firmware that boots a kernel without a BIOS.
const FIRMWARE: &str = "qboot.rom";
/// What the scripts build guests with, and whose package it is.
const IMAGE_TOOLS: [(&str, &str); 8] = [
    ("gcc", "gcc libc6-dev"),
    ("strip", "binutils"),
    ("busybox", "busybox-static"),
    ("mke2fs", "e2fsprogs"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("strace", "strace"),
];
/// Any of these shows a trace.
const BROWSERS: [&str; 6] = [
    "xdg-open",
    "firefox",
    "firefox-esr",
    "chromium",
    "google-chrome",
    "chrome",
];

/// Say what is missing on this machine, and how to get it
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guesttrace doctor\n  guesttrace doctor --kernel bzImage --format json\n\n\
Exit status: 1 when something is missing without which nothing can be recorded"
)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    kernel: KernelArgs,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// Something cannot be done without it, but recording can.
    Lacking,
    /// Nothing can be recorded.
    Missing,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Lacking => "lacking",
            State::Missing => "missing",
        }
    }
}

/// A thing that is looked at.
struct Check {
    name: &'static str,
    state: State,
    found: String,
    /// What to do; empty when all is well.
    advice: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Ok, found, "")
    }

    fn new(
        name: &'static str,
        state: State,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            name,
            state,
            found: found.into(),
            advice: advice.into(),
        }
    }
}

/// Runs the verb.
pub(crate) fn run(args: &DoctorArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let emulator = Emulator::find();
    let mut checks = vec![check_emulator(&emulator)];
    if let Ok(emulator) = &emulator {
        checks.push(check_plugin(emulator));
        checks.push(check_firmware(&emulator.program));
    }
    checks.push(check_disk_tool());
    if !args.kernel.is_empty() {
        checks.push(check_kernel(&args.kernel));
    }
    checks.push(check_image_tools());
    checks.push(check_room(
        "temporary files",
        "TMPDIR",
        Ok(std::env::temp_dir()),
    ));
    checks.push(check_room("cache", "XDG_CACHE_HOME", cache_dir()));
    checks.push(check_browser());
    let is_missing = checks.iter().any(|check| check.state == State::Missing);
    let report = Report {
        name: "doctor",
        findings: Vec::new(),
        tables: vec![table(checks)],
    };
    report.write(args.format.of_report(console.width), console.out)?;
    Ok(ExitCode::from(u8::from(is_missing)))
}

fn table(checks: Vec<Check>) -> Table {
    let row = |check: Check| {
        let advice = match check.advice.is_empty() {
            true => Cell::Absent,
            false => Cell::Text(check.advice),
        };
        vec![
            Cell::Text(check.name.to_owned()),
            Cell::Text(check.state.name().to_owned()),
            Cell::Text(check.found),
            advice,
        ]
    };
    Table {
        name: "checks",
        title: "What tracing needs".to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("check", "What"),
            column("state", "State"),
            column("found", "Found"),
            column("advice", "To do"),
        ],
        rows: checks.into_iter().map(row).collect(),
    }
}

/// How to install packages: as root, or without where the project's scripts are at hand.
fn install(packages: &str) -> String {
    format!("apt-get install {packages}, or without root: scripts/setup.sh --user")
}

fn check_emulator(emulator: &Result<Emulator>) -> Check {
    match emulator {
        Ok(emulator) => Check::ok(
            "QEMU",
            format!(
                "{} {}, plugin interface {}",
                emulator.program.display(),
                emulator.version,
                emulator.interface.api
            ),
        ),
        Err(error) => Check::new(
            "QEMU",
            State::Missing,
            plain(error),
            "scripts/setup.sh, or without root: scripts/setup.sh --user",
        ),
    }
}

/// An error without the hints in it.
fn plain(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let causes: Vec<String> = causes.filter(|text| !text.is_empty()).collect();
    causes.join(": ")
}

/// The plugin's own complaint that it was told nothing shows that this QEMU loads it.
fn check_plugin(emulator: &Emulator) -> Check {
    let path = match emulator.plugin() {
        Ok(path) => path,
        Err(error) => {
            let advice = "cargo build --release, or install guesttrace's package again";
            return Check::new("plugin", State::Missing, plain(&error), advice);
        }
    };
    let output = Command::new(&emulator.program)
        .args(["-M", "none", "-display", "none", "-plugin"])
        .arg(&path)
        .output();
    let complaint = match output {
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    if complaint.starts_with("guesttrace plugin: ") {
        return Check::ok("plugin", path.display().to_string());
    }
    let first = complaint.lines().next().unwrap_or("QEMU says nothing");
    Check::new(
        "plugin",
        State::Missing,
        format!("{}: {first}", path.display()),
        "use the QEMU of a distribution: scripts/setup.sh",
    )
}

fn check_firmware(program: &Path) -> Check {
    let output = Command::new(program).args(["-L", "help"]).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let found = text.lines().map(|dir| Path::new(dir).join(FIRMWARE));
    match found.into_iter().find(|path| path.exists()) {
        Some(path) => Check::ok("firmware", path.display().to_string()),
        None => Check::new(
            "firmware",
            State::Missing,
            format!("no {FIRMWARE} where QEMU looks for it"),
            install("qemu-system-data seabios"),
        ),
    }
}

fn check_disk_tool() -> Check {
    let program = installed_program("qemu-img");
    let output = Command::new(&program).arg("--version").output();
    match output.ok().filter(|output| output.status.success()) {
        Some(_) => Check::ok("qemu-img", program.display().to_string()),
        None => Check::new(
            "qemu-img",
            State::Lacking,
            "not found: no guest can have a disk",
            install("qemu-utils"),
        ),
    }
}

fn check_kernel(kernel: &KernelArgs) -> Check {
    match kernel.load() {
        Ok(kernel) => Check::ok(
            "kernel",
            format!(
                "Linux {}, with symbols and types",
                kernel.identity().release
            ),
        ),
        Err(error) => Check::new(
            "kernel",
            State::Missing,
            plain(&error),
            "use a kernel with CONFIG_KALLSYMS_ALL and CONFIG_DEBUG_INFO_BTF, or pass --vmlinux of the same build",
        ),
    }
}

fn check_image_tools() -> Check {
    let missing = IMAGE_TOOLS
        .iter()
        .filter(|(tool, _)| find_program(tool).is_none());
    let (tools, packages): (Vec<&str>, Vec<&str>) = missing.copied().unzip();
    if tools.is_empty() {
        return Check::ok("tools for images", "all");
    }
    Check::new(
        "tools for images",
        State::Lacking,
        format!("not found: {}", tools.join(", ")),
        install(&packages.join(" ")),
    )
}

/// Whether a directory can be written and has room.
fn check_room(name: &'static str, variable: &str, dir: Result<PathBuf>) -> Check {
    let advice = format!("set {variable} to a directory that can be written and has room");
    let missing = |found: String| Check::new(name, State::Missing, found, advice.clone());
    let dir = match dir {
        Ok(dir) => dir,
        Err(error) => return missing(plain(&error)),
    };
    if let Err(error) = tempfile::tempfile_in(&dir) {
        return missing(format!("cannot write in {}: {error}", dir.display()));
    }
    let free =
        rustix::fs::statvfs(&dir).map(|room| room.f_bavail.saturating_mul(room.f_frsize) >> 20);
    match free {
        Ok(mib) if mib < ROOM_MIB_MIN => Check::new(
            name,
            State::Lacking,
            format!("{}: only {mib} MiB are free", dir.display()),
            advice,
        ),
        Ok(mib) => Check::ok(name, format!("{}: {mib} MiB are free", dir.display())),
        Err(error) => missing(format!("{}: {error}", dir.display())),
    }
}

fn check_browser() -> Check {
    match BROWSERS.iter().find_map(|name| find_program(name)) {
        Some(path) => Check::ok("browser", path.display().to_string()),
        None => Check::new(
            "browser",
            State::Lacking,
            "none here",
            "open the address that `guesttrace serve` prints, or take the file of `guesttrace html` to another machine",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_written_is_missing_and_says_what_to_do() {
        let check = check_room("cache", "XDG_CACHE_HOME", Ok("/nonexistent".into()));
        assert_eq!(check.state, State::Missing);
        assert!(check.found.starts_with("cannot write in /nonexistent: "));
        assert!(check.advice.starts_with("set XDG_CACHE_HOME to "));
        let dir = std::env::temp_dir();
        assert_ne!(check_room("x", "TMPDIR", Ok(dir)).state, State::Missing);
    }

    #[test]
    fn hints_are_no_part_of_what_was_found() {
        let error = anyhow::anyhow!("inner")
            .context(crate::Hint("do this"))
            .context("outer");
        assert_eq!(plain(&error), "outer: inner");
    }
}
