//! Kernels and images by name: fetched and built by the project's `images` directory when a run needs them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The kernel that the image for a kernel of the user's own is built beside.
const USUAL_KERNEL: &str = "6.1-amd64";

/// Where guests come from.
#[derive(Debug)]
pub struct Workshop {
    images: Option<PathBuf>,
    /// What has been built or could not be, by the words of the command.
    done: BTreeMap<Vec<String>, Result<(), String>>,
}

/// The files of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Laid {
    pub(crate) initrd: Option<PathBuf>,
    pub(crate) rootfs: Option<PathBuf>,
    pub(crate) disk: Option<String>,
}

/// A kernel or image that is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkshopError {
    /// A name, and no directory in which names are known.
    #[error(
        "{what} is a name, and there is no directory images with build.sh above the suite or the program\nhint: name the directory as images = \"PATH\" at the top of the suite, or a file with a slash in its path"
    )]
    NoImages {
        /// Such as `the kernel 6.1-amd64`.
        what: String,
    },
    /// An image that nobody builds.
    #[error(
        "no image is known as \"{name}\"\nhint: there are \"guest\" and \"guest+TOOL\"; a directory has a slash in its path"
    )]
    UnknownImage {
        /// The name.
        name: String,
    },
    /// A directory that holds no image.
    #[error("{} holds neither initrd.cpio nor rootfs.img", path.display())]
    NoImage {
        /// The directory.
        path: PathBuf,
    },
    /// A script that failed.
    #[error("{command} failed: {told}")]
    Build {
        /// As one would type it.
        command: String,
        /// The last that it said.
        told: String,
    },
    /// A file of the guest that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Workshop {
    /// The directory that the suite names, or the one nearest above it, or above the program.
    #[must_use]
    pub fn find(named: Option<&Path>, suite_dir: &Path, program: &Path) -> Self {
        let suite_dir = std::path::absolute(suite_dir).unwrap_or_else(|_| suite_dir.to_owned());
        let above = suite_dir.ancestors().chain(program.ancestors());
        let has_script = |dir: &PathBuf| dir.join("build.sh").is_file();
        let near = above.map(|dir| dir.join("images")).find(has_script);
        Self {
            images: named.map(Path::to_owned).or(near),
            done: BTreeMap::new(),
        }
    }

    /// The kernel of that name, fetched if it is not there.
    pub(crate) fn kernel(&mut self, name: &str) -> Result<PathBuf, WorkshopError> {
        let images = self.images(&format!("the kernel {name}"))?;
        self.run(&images, &["fetch-kernel.sh", name])?;
        Ok(build_dir(&images)
            .join("kernels")
            .join(name)
            .join("vmlinuz"))
    }

    /// The image of that name for a kernel of ours, built if it is not there; for another kernel its initramfs alone.
    pub(crate) fn image(
        &mut self,
        name: &str,
        kernel: Option<&str>,
    ) -> Result<Laid, WorkshopError> {
        let mut parts = name.split('+');
        let tools: Vec<&str> = match parts.next() {
            Some("guest") => parts.collect(),
            _ => {
                let name = name.to_owned();
                return Err(WorkshopError::UnknownImage { name });
            }
        };
        let images = self.images(&format!("the image {name}"))?;
        let built_for = kernel.unwrap_or(USUAL_KERNEL);
        let mut words = vec!["build.sh", "--kernel", built_for];
        for tool in &tools {
            words.extend(["--with", tool]);
        }
        self.run(&images, &words)?;
        let dir = build_dir(&images)
            .join("guest")
            .join(name.replacen("guest", built_for, 1));
        let mut laid = Laid::of_dir(&dir)?;
        if kernel.is_none() {
            // None of its modules fits.
            laid.disk = Some("initramfs".to_owned());
        }
        Ok(laid)
    }

    fn images(&self, what: &str) -> Result<PathBuf, WorkshopError> {
        let missing = || WorkshopError::NoImages {
            what: what.to_owned(),
        };
        self.images.clone().ok_or_else(missing)
    }

    /// Runs a script of the directory, once.
    fn run(&mut self, images: &Path, words: &[&str]) -> Result<(), WorkshopError> {
        let key: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let done = self.done.entry(key).or_insert_with(|| {
            let script = images.join(words.first().copied().unwrap_or_default());
            let mut command = Command::new(script);
            command.args(words.get(1..).unwrap_or_default());
            let output = command
                .stdin(Stdio::null())
                .output()
                .map_err(|error| error.to_string())?;
            if output.status.success() {
                return Ok(());
            }
            let talk = String::from_utf8_lossy(&output.stderr);
            let error = talk.lines().rev().find(|line| line.starts_with("error: "));
            let told = error.or_else(|| talk.lines().last()).unwrap_or("");
            Err(told.trim_start_matches("error: ").to_owned())
        });
        done.clone().map_err(|told| WorkshopError::Build {
            command: format!("images/{}", words.join(" ")),
            told,
        })
    }
}

impl Laid {
    /// What lies in a directory that `images/build.sh` filled.
    pub(crate) fn of_dir(dir: &Path) -> Result<Self, WorkshopError> {
        let file = |name: &str| Some(dir.join(name)).filter(|path| path.is_file());
        let (initrd, rootfs) = (file("initrd.cpio"), file("rootfs.img"));
        if initrd.is_none() && rootfs.is_none() {
            let path = dir.to_owned();
            return Err(WorkshopError::NoImage { path });
        }
        let disk = std::fs::read_to_string(dir.join("disk")).ok();
        let disk = disk.map(|disk| disk.trim().to_owned());
        Ok(Self {
            initrd,
            rootfs,
            disk,
        })
    }
}

/// Where the scripts build, as `scripts/lib.sh` has it.
fn build_dir(images: &Path) -> PathBuf {
    std::env::var_os("GUESTTRACE_BUILD_DIR").map_or_else(|| images.join("build"), PathBuf::from)
}
