//! What an image is made of, as one digest: the image that lies there is known to be the one that would be built.
//!
//! Contents count, wherever they lie. Of a kernel's modules, which are some hundred megabytes and never changed in place,
//! names, lengths and times do; of programs of this host that go into a guest their own bytes, not those of libraries.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{ImageError, Result};
use crate::host::{find_program, user_prefix};
use crate::project::Project;
use crate::recipe::{Recipe, Source};

/// What the project's own guest is made of, in the directory `images`.
const OF_GUEST: [&str; 4] = ["stage-guest.sh", "guest", "programs", "workloads"];
/// Programs of this host that every such guest has.
const PROGRAMS: [&str; 2] = ["busybox", "strace"];

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn digest_of_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    add_file(&mut hash, path)?;
    Ok(format!("{:x}", hash.finalize()))
}

fn add_file(hash: &mut Sha256, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut block = vec![0; 1 << 18];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(()),
            count => hash.update(&block[..count]),
        }
    }
}

/// The digest of all that an image is made of but the packages of an archive.
pub(crate) fn digest(
    recipe: &Recipe,
    project: &Project,
    tools: &[String],
    release: &str,
    modules: Option<&Path>,
) -> Result<String> {
    let mut hash = Sha256::new();
    let mut text = |text: &str| hash.update(format!("{}\n{text}", text.len()));
    text(&format!("{:?}", recipe.text));
    text(&format!("{tools:?}"));
    if recipe.text.kernel_modules {
        text(release);
    }
    let mut contents: Vec<PathBuf> = Vec::new();
    // Another version of this program may build otherwise.
    contents.extend(std::env::current_exe());
    match &recipe.source {
        Source::Directory(path) | Source::Tar(path) => contents.push(recipe.host_path(path)),
        Source::Packages { .. } => {}
        Source::Guest => {
            contents.extend(OF_GUEST.map(|name| project.images().join(name)));
            let programs = PROGRAMS.iter().copied();
            let programs = programs.chain(tools.iter().map(String::as_str));
            contents.extend(programs.filter_map(program_of_host));
        }
    }
    let text = &recipe.text;
    let named = text.file.iter().filter_map(|file| file.from.as_ref());
    for path in text.overlay.iter().chain(named) {
        contents.push(recipe.host_path(path));
    }
    for path in contents {
        add_tree(&mut hash, &path, Depth::Contents).map_err(ImageError::io("read", &path))?;
    }
    if let Some(dir) = modules {
        add_tree(&mut hash, dir, Depth::Times).map_err(ImageError::io("read", dir))?;
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// The digest of the lists of packages that a recipe's are chosen from.
pub(crate) fn digest_of_lists(recipe: &Recipe, project: &Project) -> Result<String> {
    let mut hash = Sha256::new();
    if let Source::Packages { suite, .. } = &recipe.source {
        let lists = project.build_dir().join("apt").join(suite).join("lists");
        if lists.is_dir() {
            let added = add_tree(&mut hash, &lists, Depth::Contents);
            added.map_err(ImageError::io("read", &lists))?;
        }
    }
    Ok(format!("{:x}", hash.finalize()))
}

fn program_of_host(name: &str) -> Option<PathBuf> {
    // A compiler is many programs, which come and go together.
    let name = if name == "compiler" { "gcc" } else { name };
    // What starts an unpacked program stays the same when that changes.
    let unpacked = user_prefix().map(|prefix| prefix.join("root/usr/bin").join(name));
    unpacked
        .filter(|path| path.is_file())
        .or_else(|| find_program(name))
}

/// What of a file counts.
#[derive(Clone, Copy)]
enum Depth {
    Contents,
    Times,
}

/// Adds a file, or all that a directory has, without following links; what is not there adds nothing.
fn add_tree(hash: &mut Sha256, root: &Path, depth: Depth) -> io::Result<()> {
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        // The root itself may be a link, as a directory of the user's often is.
        let data = if path == root {
            fs::metadata(&path)
        } else {
            fs::symlink_metadata(&path)
        };
        let data = match data {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            data => data?,
        };
        let name = path.strip_prefix(root).unwrap_or(&path).as_os_str();
        let mode = data.permissions().mode();
        hash.update(format!("{} {mode:o} {}\n", name.len(), data.len()));
        hash.update(name.as_encoded_bytes());
        if data.is_dir() {
            let names = fs::read_dir(&path)?.map(|entry| Ok(entry?.path()));
            let mut names = names.collect::<io::Result<Vec<_>>>()?;
            names.sort();
            open.extend(names);
        } else if data.is_symlink() {
            hash.update(fs::read_link(&path)?.as_os_str().as_encoded_bytes());
        } else if data.is_file() {
            match depth {
                Depth::Contents => add_file(hash, &path)?,
                Depth::Times => hash.update(format!("{:?}", data.modified()?)),
            }
        }
    }
    Ok(())
}
