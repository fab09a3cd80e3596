//! Finds a QEMU that can load the plugin.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::Hint;

/// Oldest QEMU whose plugin interface (API 4) can read guest memory.
const VERSION_MIN: (u32, u32) = (9, 2);
const SETUP_HINT: Hint = Hint(
    "scripts/setup.sh installs a QEMU that is new enough; GUESTTRACE_QEMU names one that is not in the path",
);

/// A QEMU.
#[derive(Debug)]
pub(crate) struct Emulator {
    pub(crate) program: PathBuf,
    /// Such as `10.0.2`.
    pub(crate) version: String,
}

impl Emulator {
    /// Looks at `$GUESTTRACE_QEMU`, then for `qemu-system-x86_64` in the path.
    pub(crate) fn find() -> Result<Self> {
        let program = std::env::var_os("GUESTTRACE_QEMU")
            .map_or_else(|| "qemu-system-x86_64".into(), PathBuf::from);
        let output = Command::new(&program)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot run QEMU as {}", program.display()))
            .context(SETUP_HINT)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(version) = parse_version(&text) else {
            return Err(anyhow::anyhow!("{} is not QEMU", program.display())).context(SETUP_HINT);
        };
        let number = |index: usize| {
            version
                .split('.')
                .nth(index)
                .and_then(|part| part.parse().ok())
                .unwrap_or(0)
        };
        let (major, minor) = VERSION_MIN;
        if (number(0), number(1)) < VERSION_MIN {
            return Err(anyhow::anyhow!(
                "QEMU {version} is too old: {major}.{minor} or newer is needed"
            ))
            .context(SETUP_HINT);
        }
        Ok(Self { program, version })
    }

    /// The plugin that was built with this program.
    pub(crate) fn plugin() -> Result<PathBuf> {
        let name = "libguesttrace_plugin.so";
        let program = std::env::current_exe().context("cannot tell where this program lies")?;
        let dir = program.parent().context("this program lies nowhere")?;
        let candidates = [
            dir.join(name),
            dir.join("../lib/guesttrace").join(name),
            dir.join("deps").join(name),
        ];
        match candidates.iter().find(|path| path.exists()) {
            Some(path) => Ok(path.clone()),
            None => Err(anyhow::anyhow!(
                "the QEMU plugin {} does not exist",
                candidates[0].display()
            ))
            .context(Hint("build it with `cargo build --release`")),
        }
    }
}

fn parse_version(text: &str) -> Option<String> {
    let rest = text.strip_prefix("QEMU emulator version ")?;
    let version: String = rest
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    Some(version).filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_print_them() {
        let debian =
            "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright";
        assert_eq!(parse_version(debian).as_deref(), Some("10.0.2"));
        assert_eq!(parse_version("true (GNU coreutils) version 9.1"), None);
    }
}
