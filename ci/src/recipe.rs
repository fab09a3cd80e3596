//! What `record` is told to boot a run, apart from where its output goes.

use std::path::{Path, PathBuf};

use guest_images::is_kernel_path;

use crate::suite::{Guest, Run};
use crate::workshop::{Laid, Workshop, WorkshopError};

/// A word of the command line of `record`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// As it stands.
    Text(String),
    /// The name of a file, of which only the content matters.
    File(PathBuf),
}

/// The words that make a recording what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// In order.
    pub words: Vec<Word>,
}

impl Recipe {
    /// Builds what the run needs and says how to record it; `dir` is that of the suite.
    ///
    /// # Errors
    /// When a kernel or an image is not there and cannot be made.
    pub fn of(run: &Run, dir: &Path, workshop: &mut Workshop) -> Result<Self, WorkshopError> {
        let guest = &run.guest;
        let mut recipe = Self::default();
        let name = match (&guest.kernel, &guest.image) {
            (Some(kernel), _) => kernel.clone(),
            (None, Some(image)) => Workshop::kernel_of(image, dir)?.ok_or_else(|| {
                let image = image.clone();
                WorkshopError::NoKernel { image }
            })?,
            (None, None) => String::new(),
        };
        let is_path = is_kernel_path(&name);
        let image = match guest.image.as_deref() {
            None if is_path || (guest.initrd.is_some() && guest.rootfs.is_some()) => None,
            image => Some(image.unwrap_or("guest")),
        };
        let kernel = if is_path {
            dir.join(&name)
        } else {
            workshop.kernel(&name)?
        };
        let laid = match image {
            None => Laid::default(),
            Some(image) if image.contains('/') && !dir.join(image).is_file() => {
                Laid::of_dir(&dir.join(image))?
            }
            Some(image) => workshop.image(image, dir, &name)?,
        };
        recipe.file("--kernel", kernel);
        let beside = |path: &Option<String>| path.as_ref().map(|path| dir.join(path));
        if let Some(vmlinux) = beside(&guest.vmlinux) {
            recipe.file("--vmlinux", vmlinux);
        }
        let disk = guest.disk.clone().or(laid.disk);
        let is_initramfs = disk.as_deref() == Some("initramfs");
        if let Some(initrd) = beside(&guest.initrd).or(laid.initrd) {
            recipe.file("--initrd", initrd);
        }
        let rootfs = beside(&guest.rootfs).or(laid.rootfs.filter(|_| !is_initramfs));
        if let Some(rootfs) = rootfs {
            recipe.file("--rootfs", rootfs);
        }
        // A kernel by name is Debian's, which starts fastest that way.
        let boot = guest.boot.clone().or((!is_path).then(|| "pvh".to_owned()));
        recipe.options(guest, disk, boot);
        Ok(recipe)
    }

    fn options(&mut self, guest: &Guest, disk: Option<String>, boot: Option<String>) {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let texts = [
            ("--disk", disk),
            ("--boot", boot),
            ("--workload", guest.workload.clone()),
            ("--events", guest.events.clone()),
            ("--smp", number(guest.smp.map(u64::from))),
            ("--memory", number(guest.memory)),
            ("--append", guest.append.clone()),
        ];
        for (option, text) in texts {
            if let Some(text) = text {
                self.words.push(Word::Text(option.to_owned()));
                self.words.push(Word::Text(text));
            }
        }
        self.words
            .extend(guest.options.iter().cloned().map(Word::Text));
    }

    fn file(&mut self, option: &str, path: PathBuf) {
        self.words.push(Word::Text(option.to_owned()));
        self.words.push(Word::File(path));
    }
}
