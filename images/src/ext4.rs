//! A tree as an ext4 file system: mke2fs makes an empty one, debugfs fills it.
//!
//! `mke2fs -d` is not used: it takes the order of the host's directories and the times of their inodes. e2fsprogs takes
//! the time of everything that it writes from a variable of its environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Output};

use crate::EPOCH_SECONDS;
use crate::error::{ImageError, Result};
use crate::host;
use crate::path::GuestPath;
use crate::tree::{Inode, InodeIndex, Kind, Tree};

const BLOCK_BYTES: u64 = 4096;
const INODE_BYTES: u64 = 256;
const JOURNAL_MIB: u64 = 4;
/// The smallest image: that of the project's own guest, with room for what workloads write.
const MIB_MIN: u64 = 64;
const UUID: &str = "67756573-7474-7261-6365-000000000001";
/// Named here and not left to the host's mke2fs.conf.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,\
extra_isize,metadata_csum";
const CONFIGURATION: &str =
    "[fs_types]\next4 = {\n blocksize = 4096\n}\nsmall = {\n blocksize = 4096\n}\n";

/// Makes the file system in a new file; `mib` is its size, by default the power of two that has room.
///
/// `work` is a directory for the files that this needs.
pub(crate) fn write(
    tree: &Tree,
    out: &Path,
    mib: Option<u64>,
    label: &str,
    work: &Path,
) -> Result<()> {
    let inodes = inode_count(tree);
    let needed = needed_mib(tree, inodes);
    // An SD card's size is a power of two.
    let mib = mib.unwrap_or_else(|| needed.next_power_of_two().max(MIB_MIN));
    if mib < needed {
        return Err(ImageError::TooLarge {
            origin: format!("an image that needs about {needed} MiB"),
            what: format!("its {mib} MiB"),
        });
    }
    let file = File::create(out).map_err(ImageError::io("write", out))?;
    file.set_len(mib << 20)
        .map_err(ImageError::io("write", out))?;
    let configuration = work.join("mke2fs.conf");
    fs::write(&configuration, CONFIGURATION).map_err(ImageError::io("write", &configuration))?;
    let mut make = program("mke2fs");
    make.env("MKE2FS_CONFIG", &configuration)
        .args([
            "-q", "-F", "-t", "ext4", "-m", "0", "-U", UUID, "-L", label, "-O", FEATURES,
        ])
        .args(["-I", &INODE_BYTES.to_string(), "-N", &inodes.to_string()])
        .args(["-J", &format!("size={JOURNAL_MIB}"), "-E"])
        .arg(format!(
            "hash_seed={UUID},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard"
        ))
        .arg(out);
    expect_success("mke2fs", &run(make)?)?;
    fill(tree, out, &work.join("debugfs"))?;
    let mut check = program("e2fsck");
    check.arg("-fn").arg(out);
    expect_success("e2fsck", &run(check)?)
}

fn inode_count(tree: &Tree) -> u64 {
    let names = tree.iter().count() as u64;
    // Room for what the guest makes.
    (names + names / 8 + 256).max(2048)
}

/// What the tree needs, with a little room.
fn needed_mib(tree: &Tree, inodes: u64) -> u64 {
    let mut counted: BTreeSet<InodeIndex> = BTreeSet::new();
    let blocks: u64 = tree
        .iter()
        .filter(|(_, index, _)| counted.insert(*index))
        .map(|(_, _, inode)| match &inode.kind {
            Kind::File(content) => content.length.div_ceil(BLOCK_BYTES),
            Kind::Directory => 1,
            _ => 0,
        })
        .sum();
    let bytes = blocks * BLOCK_BYTES + inodes * INODE_BYTES;
    // Group descriptors, bitmaps, extents of large files.
    (bytes + bytes / 50).div_ceil(1 << 20) + JOURNAL_MIB + 4
}

fn fill(tree: &Tree, image: &Path, script: &Path) -> Result<()> {
    let unwritable = || ImageError::io("write", script);
    let mut out = BufWriter::new(File::create(script).map_err(unwritable())?);
    for line in commands(tree)? {
        out.write_all(&line).map_err(unwritable())?;
        out.write_all(b"\n").map_err(unwritable())?;
    }
    out.into_inner()
        .map_err(|error| unwritable()(error.into_error()))?;
    let mut debugfs = program("debugfs");
    debugfs.arg("-w").arg("-f").arg(script).arg(image);
    let output = run(debugfs)?;
    // It repeats each command, numbers what it makes, and ends well whatever went wrong.
    let talk = [output.stdout, output.stderr].concat();
    let is_complaint = |line: &&[u8]| {
        !line.is_empty() && !line.starts_with(b"debugfs") && !line.starts_with(b"Allocated inode")
    };
    match talk.split(|byte| *byte == b'\n').find(is_complaint) {
        Some(complaint) => Err(ImageError::Program {
            program: "debugfs".to_owned(),
            said: String::from_utf8_lossy(complaint).into_owned(),
        }),
        None => Ok(()),
    }
}

/// The commands of debugfs that make the tree.
fn commands(tree: &Tree) -> Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    let mut first_names: BTreeMap<InodeIndex, &GuestPath> = BTreeMap::new();
    let link_counts = tree.link_counts();
    let mut crowded = crowded_directories(tree, &link_counts);
    let mut place = None;
    for (path, index, inode) in tree.iter() {
        if path.as_bytes().is_empty() {
            lines.extend(attributes(path, inode));
            continue;
        }
        let parent = path.parent();
        if place.as_ref() != Some(&parent) {
            lines.push(line(&[b"cd", &quoted(&absolute(&parent))]));
            // `ln` does not make a directory larger, as the other commands do.
            for _ in 0..crowded.remove(&parent).unwrap_or(0) {
                lines.push(b"expand_dir .".to_vec());
            }
            place = Some(parent);
        }
        let name = quoted(path.name());
        if let Some(first) = first_names.get(&index) {
            lines.push(line(&[b"ln", &quoted(&absolute(first)), &name]));
            continue;
        }
        first_names.insert(index, path);
        lines.push(creation(&name, inode)?);
        lines.extend(attributes(path, inode));
        let links = link_counts.get(&index).copied().unwrap_or(1);
        if links > 1 {
            lines.push(field(path, "links_count", &links.to_string()));
        }
    }
    Ok(lines)
}

/// For directories with hard links: how many blocks more they need for their names.
fn crowded_directories(
    tree: &Tree,
    link_counts: &BTreeMap<InodeIndex, u32>,
) -> BTreeMap<GuestPath, usize> {
    // An entry has eight bytes beside the name, and begins at a multiple of four; a block keeps some for its checksum.
    const ENTRY_BYTES: usize = 12;
    const BLOCK_USED: usize = 3600;
    let mut bytes: BTreeMap<GuestPath, usize> = BTreeMap::new();
    let mut with_links: BTreeSet<GuestPath> = BTreeSet::new();
    for (path, index, _) in tree.iter() {
        *bytes.entry(path.parent()).or_insert(0) += path.name().len() + ENTRY_BYTES;
        if link_counts.get(&index).is_some_and(|links| *links > 1) {
            with_links.insert(path.parent());
        }
    }
    bytes.retain(|path, _| with_links.contains(path));
    bytes
        .into_iter()
        .map(|(path, bytes)| (path, bytes / BLOCK_USED))
        .collect()
}

fn creation(name: &[u8], inode: &Inode) -> Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let device = |letter: &str, major: u32, minor: u32| {
        let numbers = format!("{letter} {major} {minor}");
        line(&[b"mknod", name, numbers.as_bytes()])
    };
    Ok(match &inode.kind {
        Kind::Directory => line(&[b"mkdir", name]),
        Kind::Symlink(target) => line(&[b"symlink", name, &quoted(target)]),
        Kind::CharDevice { major, minor } => device("c", *major, *minor),
        Kind::BlockDevice { major, minor } => device("b", *major, *minor),
        Kind::Fifo => line(&[b"mknod", name, b"p"]),
        Kind::File(content) => {
            let source = content.path.as_os_str().as_bytes();
            if source.iter().any(u8::is_ascii_control) {
                let path = content.path.display().to_string();
                return Err(ImageError::refused(
                    &path,
                    "its name has control characters",
                ));
            }
            line(&[b"write", &quoted(source), name])
        }
    })
}

/// What is not as debugfs makes it.
fn attributes(path: &GuestPath, inode: &Inode) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let usual = match inode.kind {
        Kind::Directory => 0o755,
        Kind::Symlink(_) => inode.mode,
        // A file would get the mode that it has on the host, a device one of debugfs's own.
        _ => u32::MAX,
    };
    if inode.mode != usual {
        lines.push(field(
            path,
            "mode",
            &format!("0{:o}", inode.mode_with_kind()),
        ));
    }
    for (name, id) in [("uid", inode.uid), ("gid", inode.gid)] {
        if id != 0 {
            lines.push(field(path, name, &id.to_string()));
        }
    }
    lines
}

fn field(path: &GuestPath, name: &str, value: &str) -> Vec<u8> {
    line(&[
        b"sif",
        &quoted(&absolute(path)),
        name.as_bytes(),
        value.as_bytes(),
    ])
}

fn absolute(path: &GuestPath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}

fn line(words: &[&[u8]]) -> Vec<u8> {
    words.join(&b' ')
}

/// As debugfs reads a word: in quotation marks, those within it doubled.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for byte in word {
        if *byte == b'"' {
            text.push(b'"');
        }
        text.push(*byte);
    }
    text.push(b'"');
    text
}

/// A program of e2fsprogs.
pub(crate) fn program(name: &str) -> Command {
    let mut command = host::command(name);
    command.env("E2FSPROGS_FAKE_TIME", EPOCH_SECONDS.to_string());
    command.env("LC_ALL", "C").env("TZ", "UTC");
    // A pager would wait for somebody.
    command
        .env("DEBUGFS_PAGER", "cat")
        .stdin(std::process::Stdio::null());
    command
}

/// Runs a program and keeps what it says.
pub(crate) fn run(mut command: Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .output()
        .map_err(|source| ImageError::Missing { program, source })
}

/// Fails with the last line that a program said.
pub(crate) fn expect_success(name: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let talk = [output.stdout.as_slice(), &output.stderr].concat();
    let talk = String::from_utf8_lossy(&talk);
    let said = talk.lines().rev().find(|line| !line.trim().is_empty());
    Err(ImageError::Program {
        program: name.to_owned(),
        said: said.unwrap_or("it said nothing").trim().to_owned(),
    })
}
