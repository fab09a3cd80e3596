//! The emulated machine: QEMU's arguments, the kernel command line, and whether two runs are the same.
//!
//! Everything that makes a run reproducible was measured on Debian's kernels: one thread for all CPUs, counted
//! instructions for time, a seed, a fixed date, no default devices, no disk that completes requests asynchronously.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use trace_format::MachineInfo;

use super::ICOUNT_SHIFT;
use super::args::{Boot, Clock, Net, RecordArgs};
use super::disk::{Disk, Overlay, image_bytes, root_argument};
use super::emulator::Emulator;
use super::kernel::{BootKernel, read_input, sha256};
use super::native::{self, Outbox};
use super::sessions::Wishes;
use crate::Usage;

/// A machine that is ready to start.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Arguments with real file names.
    pub(crate) arguments: Vec<String>,
    /// The kernel's command line.
    pub(crate) command_line: String,
    /// Digests of the files that the guest sees.
    pub(crate) digests: Vec<(String, String)>,
    roles: Vec<(String, String)>,
    disk: Disk,
    cpu_count: u32,
    memory_mib: u64,
    obstacles: Vec<String>,
}

/// Finds what is wrong with the guest's files before anything that takes long.
pub(crate) fn check_inputs(args: &RecordArgs) -> Result<()> {
    if let Some(rootfs) = &args.rootfs {
        image_bytes(rootfs)?;
    }
    if args.initrd.is_none() && args.rootfs.is_none() && !args.append.contains("root=") {
        let missing = "no root file system: neither --rootfs nor --initrd is given";
        return Err(Usage::new(missing).hint("pass --rootfs rootfs.img").into());
    }
    Ok(())
}

impl Machine {
    /// Decides everything and makes the overlay.
    pub(crate) fn build(
        args: &RecordArgs,
        wishes: &Wishes,
        kernel: &BootKernel,
        work_dir: &Path,
        outbox: Option<&Outbox>,
    ) -> Result<Self> {
        let initrd = match &args.initrd {
            Some(path) => Some(read_input("initial ramdisk", path)?),
            None => None,
        };
        let disk = match &args.rootfs {
            Some(_) => Disk::choose(args.disk, kernel, initrd.as_deref())?,
            None => Disk::Initramfs,
        };
        let mut machine = Self {
            arguments: Vec::new(),
            command_line: String::new(),
            digests: Vec::new(),
            roles: Vec::new(),
            disk,
            cpu_count: args.smp,
            memory_mib: args.memory,
            obstacles: Vec::new(),
        };
        machine.add_base(args);
        machine.add_boot(args, kernel)?;
        machine.add_initrd(args, initrd.as_deref());
        machine.add_disk(args, work_dir)?;
        machine.add_network(args.net);
        if let Some(outbox) = outbox {
            let name = super::disk::escape(outbox.path());
            machine.roles.push((name, "NATIVE".to_owned()));
            machine.arguments.extend(outbox.qemu_arguments());
        }
        machine.command_line = command_line(args, disk)?;
        machine.push(["-append", &machine.command_line.clone()]);
        machine
            .arguments
            .extend(args.qemu_arguments.iter().cloned());
        if args.control.control.is_some() {
            machine.add_obstacle("control: commands come when the host sends them");
        }
        if wishes.discards() {
            machine.add_obstacle("mode: what is discarded depends on how fast the host writes");
        }
        if !args.qemu_arguments.is_empty() {
            machine.add_obstacle(
                "machine: arguments passed on to QEMU are not checked for reproducibility",
            );
        }
        Ok(machine)
    }

    fn add_obstacle(&mut self, obstacle: &str) {
        self.obstacles.push(obstacle.to_owned());
    }

    /// Fails when the same command would not give the same trace.
    pub(crate) fn require_reproducible(&self) -> Result<()> {
        if self.obstacles.is_empty() {
            return Ok(());
        }
        let usage = Usage::new(format!(
            "--require-reproducible: this recording is not ({})",
            self.obstacles.join("; ")
        ));
        Err(usage
            .hint("leave out what the sentence names, or the option")
            .into())
    }

    fn push<const N: usize>(&mut self, arguments: [&str; N]) {
        self.arguments.extend(arguments.map(str::to_owned));
    }

    fn add_base(&mut self, args: &RecordArgs) {
        let machine = if self.disk == Disk::Pmem {
            "q35,nvdimm=on"
        } else {
            "q35"
        };
        self.push([
            "-M",
            machine,
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
            "-no-user-config",
        ]);
        let memory = match self.disk {
            Disk::Pmem => format!("{}M,slots=2,maxmem={}M", args.memory, args.memory + 65_536),
            _ => format!("{}M", args.memory),
        };
        self.push(["-m", &memory, "-smp", &args.smp.to_string()]);
        let cpu = args.cpu.as_deref().unwrap_or(match args.boot {
            Boot::Pvh => "qemu64",
            Boot::Bzimage => "max",
        });
        self.push(["-cpu", cpu]);
        match args.clock {
            Clock::Deterministic => {
                self.push([
                    "-accel",
                    "tcg,thread=single",
                    "-icount",
                    &format!("shift={ICOUNT_SHIFT},sleep=off"),
                ]);
                self.push([
                    "-rtc",
                    "base=2026-01-01,clock=vm",
                    "-seed",
                    &args.seed.to_string(),
                ]);
            }
            Clock::Wall => {
                self.push(["-accel", "tcg,thread=multi"]);
                self.add_obstacle("clock: time is the host's");
            }
        }
    }

    fn add_boot(&mut self, args: &RecordArgs, kernel: &BootKernel) -> Result<()> {
        let path = match args.boot {
            Boot::Bzimage => kernel.path.clone(),
            Boot::Pvh => {
                // The firmware that does nothing but start the kernel.
                self.push(["-bios", "qboot.rom"]);
                unpacked_kernel(kernel)?
            }
        };
        self.add_file("-kernel", &path, "KERNEL");
        Ok(())
    }

    fn add_initrd(&mut self, args: &RecordArgs, initrd: Option<&[u8]>) {
        if let (Some(path), Some(bytes)) = (&args.initrd, initrd) {
            self.add_file("-initrd", path, "INITRD");
            self.digests.push(("initrd".to_owned(), sha256(bytes)));
        }
    }

    fn add_disk(&mut self, args: &RecordArgs, work_dir: &Path) -> Result<()> {
        let Some(rootfs) = args
            .rootfs
            .as_ref()
            .filter(|_| self.disk != Disk::Initramfs)
        else {
            return Ok(());
        };
        let overlay = Overlay::create(self.disk, rootfs, work_dir)?;
        let image = read_input("root file system", rootfs)?;
        self.digests.push(("disk".to_owned(), sha256(&image)));
        self.roles
            .push((super::disk::escape(&overlay.path), "DISK".to_owned()));
        self.arguments.extend(self.disk.qemu_arguments(&overlay));
        self.obstacles.extend(self.disk.obstacle());
        Ok(())
    }

    fn add_network(&mut self, net: Net) {
        match net {
            Net::None => {}
            Net::User => self.push([
                "-netdev",
                "user,id=net0,restrict=on",
                "-device",
                "e1000,netdev=net0",
            ]),
            Net::Hub => {
                for name in ["net0", "net1"] {
                    let netdev = format!("hubport,id={name},hubid=0");
                    self.push([
                        "-netdev",
                        &netdev,
                        "-device",
                        &format!("e1000,netdev={name}"),
                    ]);
                }
            }
        }
    }

    fn add_file(&mut self, option: &str, path: &Path, role: &str) {
        let name = path.to_string_lossy().into_owned();
        self.roles.push((name.clone(), role.to_owned()));
        self.push([option, &name]);
    }

    /// What the trace says of the machine: no file name of the host.
    pub(crate) fn info(&self, emulator: &Emulator) -> MachineInfo {
        let anonymous = |argument: &String| {
            self.roles
                .iter()
                .fold(argument.clone(), |text, (path, role)| {
                    text.replace(path.as_str(), role)
                })
        };
        MachineInfo {
            qemu_version: emulator.version.clone(),
            qemu_arguments: self.arguments.iter().map(anonymous).collect(),
            cpu_count: self.cpu_count,
            memory_mib: self.memory_mib,
            reproducible: self.obstacles.is_empty(),
            reproducible_obstacles: self.obstacles.clone(),
        }
    }

    /// Says which choices were made.
    pub(crate) fn describe(&self, out: &mut dyn Write) -> Result<()> {
        let reproducible = if self.obstacles.is_empty() {
            "the same command gives the same trace".to_owned()
        } else {
            format!("not reproducible ({})", self.obstacles.join("; "))
        };
        writeln!(
            out,
            "guesttrace: {} CPU(s), {} MiB, disk: {}; {reproducible}",
            self.cpu_count,
            self.memory_mib,
            self.disk.label()
        )?;
        Ok(())
    }
}

/// The kernel command line. Our words come first, so that the user's win.
fn command_line(args: &RecordArgs, disk: Disk) -> Result<String> {
    let mut words = vec!["console=ttyS0".to_owned(), "panic=-1".to_owned()];
    if args.boot == Boot::Pvh {
        words.push("cryptomgr.notests=1".to_owned());
    }
    if let Some(rootfs) = args
        .rootfs
        .as_ref()
        .filter(|_| !args.append.contains("root="))
    {
        words.extend(root_argument(disk, rootfs)?);
    }
    if let Some(workload) = &args.workload {
        words.push(format!("guesttrace.workload={workload}"));
    }
    words.extend(native::command_line_words(&args.native));
    if !args.append.is_empty() {
        words.push(args.append.clone());
    }
    Ok(words.join(" "))
}

/// The ELF image of a bzImage, unpacked once per kernel.
fn unpacked_kernel(kernel: &BootKernel) -> Result<PathBuf> {
    let path = super::plan::cache_dir()?.join(format!("vmlinux-{}", kernel.digest));
    if path.exists() {
        return Ok(path);
    }
    super::plan::write_whole(&path, kernel.facts()?.elf())?;
    Ok(path)
}
