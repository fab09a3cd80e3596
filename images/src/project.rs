//! Where the project's scripts and what they build are.

use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};

use crate::error::{ImageError, Result};
use crate::host;

/// The directory `images` of the project or of an installation, and the one that all is built in.
#[derive(Clone, Debug)]
pub struct Project {
    images: PathBuf,
    build: PathBuf,
}

impl Project {
    /// Looks for it: where `GUESTTRACE_IMAGES` says, beside the program as it is installed, where it was built.
    ///
    /// What is built goes to `GUESTTRACE_BUILD_DIR`, as for the scripts, or below the directory itself; for an
    /// installation into the user's cache.
    #[must_use]
    pub fn find() -> Self {
        let named = std::env::var_os("GUESTTRACE_IMAGES").map(PathBuf::from);
        let images = named
            .or_else(host::installed_images)
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        Self::at(&images)
    }

    /// That of the installation which this program belongs to, if it does.
    #[must_use]
    pub fn installed() -> Option<Self> {
        host::installed_images().map(|images| Self::at(&images))
    }

    /// The one whose directory `images` is that.
    #[must_use]
    pub fn at(images: &Path) -> Self {
        Self {
            build: host::build_dir(images),
            images: images.to_owned(),
        }
    }

    pub(crate) fn images(&self) -> &Path {
        &self.images
    }

    /// Where images go that nobody says where to put.
    #[must_use]
    pub fn build_dir(&self) -> &Path {
        &self.build
    }

    /// Where a kernel that was fetched is: `vmlinuz`, `release`, `modules/`.
    #[must_use]
    pub fn kernel_dir(&self, name: &str) -> PathBuf {
        self.build.join("kernels").join(name.replace('/', "_"))
    }

    /// The modules of that very release among the kernels that were fetched, or those of this host.
    #[must_use]
    pub fn modules_of(&self, release: &str) -> Option<PathBuf> {
        if release.is_empty() || release.contains('/') {
            return None;
        }
        let kernels = std::fs::read_dir(self.build.join("kernels")).ok();
        let mut dirs: Vec<PathBuf> = kernels
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        dirs.sort();
        let is_it = |dir: &PathBuf| {
            let text = std::fs::read_to_string(dir.join("release"));
            text.is_ok_and(|text| text.trim() == release)
        };
        let fetched = dirs.into_iter().find(is_it).map(|dir| dir.join("modules"));
        let host = Path::new("/lib/modules").join(release);
        fetched
            .or(Some(host))
            .filter(|dir| dir.join("modules.builtin").is_file())
    }

    /// The kernel of that name, fetched if it is not there.
    ///
    /// # Errors
    /// When no kernel has that name, or it cannot be fetched.
    pub fn fetch_kernel(&self, name: &str) -> Result<PathBuf> {
        self.run("fetch-kernel.sh", [name])?;
        Ok(self.kernel_dir(name).join("vmlinuz"))
    }

    /// Runs one of the project's scripts, which says itself what it does and what went wrong.
    pub(crate) fn run<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(
        &self,
        script: &str,
        arguments: I,
    ) -> Result<()> {
        let program = self.images.join(script);
        if !program.is_file() {
            return Err(ImageError::Unknown {
                what: "script",
                name: program.display().to_string(),
                hint: "kernels, packages and the project's own guest need its sources: set GUESTTRACE_IMAGES to their directory images",
            });
        }
        let mut command = Command::new(&program);
        // What scripts print is for people; results of the verb are elsewhere.
        command
            .args(arguments)
            .env("GUESTTRACE_BUILD_DIR", &self.build)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let missing = |source| ImageError::Missing {
            program: program.display().to_string(),
            source,
        };
        let mut child = command.spawn().map_err(missing)?;
        let error = child.stderr.take().and_then(passed_on);
        if child.wait().map_err(missing)?.success() {
            return Ok(());
        }
        Err(ImageError::Program {
            program: format!("images/{script}"),
            said: error.unwrap_or_else(|| "it said why above".to_owned()),
        })
    }
}

/// Passes on what a script says, and remembers which error it names.
fn passed_on(talk: ChildStderr) -> Option<String> {
    let mut error = None;
    for line in BufReader::new(talk).split(b'\n').map_while(io::Result::ok) {
        // Nobody may be there to hear it.
        let _ = io::stderr().write_all(&[&line, &b"\n"[..]].concat());
        if let Some(told) = line.strip_prefix(b"error: ") {
            error = Some(String::from_utf8_lossy(told).into_owned());
        }
    }
    error
}
