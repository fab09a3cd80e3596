//! Finds a QEMU that can load the plugin.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use guest_images::installed_program;

use crate::Hint;
use crate::leash::own_program;

const SETUP_HINT: Hint = Hint(
    "scripts/setup.sh installs a QEMU that will do; GUESTTRACE_QEMU names one that is not in the path",
);

/// A build of the plugin, for one version of QEMU's plugin interface.
#[derive(Debug)]
pub(crate) struct Interface {
    /// Version of the interface.
    pub(crate) api: u32,
    /// First QEMU that loads it.
    since: (u32, u32),
    /// First newer QEMU that does not.
    until: (u32, u32),
    /// Whether the main loop of these QEMUs waits by `io_uring`. It then sleeps on where a virtual CPU that waits for its
    /// disk is told the same first (util/fdmon-io_uring.c re-arms a poll only before the next wait), and the guest stands
    /// still until some clock of the host runs out.
    pub(crate) loses_wake_ups: bool,
    file: &'static str,
}

/// API 4 is the first that can read guest memory. Of API 6, that of QEMU 10.2 and 11.0, there is no build: no release of
/// Debian has these.
const INTERFACES: [Interface; 2] = [
    Interface {
        api: 4,
        since: (9, 2),
        until: (10, 2),
        loses_wake_ups: false,
        file: "libguesttrace_plugin.so",
    },
    Interface {
        api: 7,
        since: (11, 1),
        until: (u32::MAX, 0),
        loses_wake_ups: true,
        file: "libguesttrace_plugin_api7.so",
    },
];

/// A QEMU.
#[derive(Debug)]
pub(crate) struct Emulator {
    pub(crate) program: PathBuf,
    /// Such as `10.0.2`.
    pub(crate) version: String,
    pub(crate) interface: &'static Interface,
}

impl Emulator {
    /// Looks at `$GUESTTRACE_QEMU`, where `scripts/setup.sh --user` puts QEMU, then for `qemu-system-x86_64` in the path.
    pub(crate) fn find() -> Result<Self> {
        let program = wanted_program();
        let output = Command::new(&program)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot run QEMU as {}", program.display()))
            .context(SETUP_HINT)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(version) = parse_version(&text) else {
            return Err(anyhow::anyhow!("{} is not QEMU", program.display())).context(SETUP_HINT);
        };
        match interface(&version) {
            Some(interface) => Ok(Self {
                program,
                version,
                interface,
            }),
            None => Err(unsupported(&version)).context(SETUP_HINT),
        }
    }

    /// The plugin for this QEMU that was built with this program.
    pub(crate) fn plugin(&self) -> Result<PathBuf> {
        let name = self.interface.file;
        let program = own_program()?;
        let dir = program.parent().context("this program lies nowhere")?;
        let candidates = [
            dir.join(name),
            dir.join("../lib/guesttrace").join(name),
            dir.join("deps").join(name),
        ];
        match candidates.iter().find(|path| path.exists()) {
            Some(path) => Ok(path.clone()),
            None => Err(anyhow::anyhow!(
                "the plugin for QEMU {}, {}, does not exist",
                self.version,
                candidates[0].display()
            ))
            .context(Hint("build it with `cargo build --release`")),
        }
    }
}

fn wanted_program() -> PathBuf {
    match std::env::var_os("GUESTTRACE_QEMU").filter(|name| !name.is_empty()) {
        Some(program) => program.into(),
        None => installed_program("qemu-system-x86_64"),
    }
}

/// The interface of a QEMU of that version.
fn interface(version: &str) -> Option<&'static Interface> {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let number = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    INTERFACES
        .iter()
        .find(|interface| (interface.since..interface.until).contains(&number))
}

fn unsupported(version: &str) -> anyhow::Error {
    let ranges = INTERFACES.map(|Interface { since, until, .. }| match until.0 {
        u32::MAX => format!("{}.{} or later", since.0, since.1),
        _ => format!("{}.{} to {}.{}", since.0, since.1, until.0, until.1 - 1),
    });
    anyhow::anyhow!(
        "QEMU {version} cannot load the plugin: {} can",
        ranges.join(", or ")
    )
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

    #[test]
    fn a_version_has_one_plugin_or_none() {
        let api = |version| interface(version).map(|interface| interface.api);
        let versions = [
            "7.2.19", "9.2.0", "10.0.2", "10.1", "10.2.1", "11.0.0", "11.1.3", "12.0",
        ];
        let expected = [
            None,
            Some(4),
            Some(4),
            Some(4),
            None,
            None,
            Some(7),
            Some(7),
        ];
        assert_eq!(versions.map(api), expected);
        assert_eq!(
            unsupported("10.2.1").to_string(),
            "QEMU 10.2.1 cannot load the plugin: 9.2 to 10.1, or 11.1 or later can"
        );
    }
}
