//! Where this host has programs, and a user's own files.
//!
//! The one place in Rust that knows the directories which `scripts/lib.sh` knows, too.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `scripts/setup.sh --user` unpacks programs.
#[must_use]
pub fn user_prefix() -> Option<PathBuf> {
    variable("GUESTTRACE_PREFIX")
        .map(PathBuf::from)
        .or_else(|| {
            let home = variable("HOME").map(PathBuf::from)?;
            Some(home.join(".local/share/guesttrace"))
        })
}

/// Where a user's files lie that can be made again; it need not be there yet.
#[must_use]
pub fn cache_dir() -> PathBuf {
    let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
    base.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("guesttrace")
}

/// A program: that of the user's prefix where there is one, else its name, for the path.
#[must_use]
pub fn installed_program(name: &str) -> PathBuf {
    let own = user_prefix().map(|prefix| prefix.join("bin").join(name));
    own.filter(|program| program.exists())
        .unwrap_or_else(|| name.into())
}

/// A program that is there: in the user's prefix, the path, or where Debian keeps what only root looks for.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let own = installed_program(name);
    if own.is_absolute() {
        return Some(own);
    }
    let path = variable("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

/// A command of a program, wherever that is.
pub(crate) fn command(name: &str) -> Command {
    Command::new(find_program(name).unwrap_or_else(|| name.into()))
}

/// Where an installation has the project's scripts and recipes: `PREFIX/share/guesttrace/images` of `PREFIX/bin/guesttrace`.
pub(crate) fn installed_images() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let dir = program.parent()?.parent()?.join("share/guesttrace/images");
    dir.is_dir().then_some(dir)
}

/// Where images are built that nobody says where to put: in the project itself, but for an installation, which may be
/// nobody's to write in and is told by having no sources, in the user's cache.
pub(crate) fn build_dir(images: &Path) -> PathBuf {
    let named = variable("GUESTTRACE_BUILD_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| match images.join("Cargo.toml").is_file() {
        true => images.join("build"),
        false => cache_dir().join("images"),
    })
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
