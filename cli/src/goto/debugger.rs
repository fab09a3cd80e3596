//! gdb at the machine: what it is told first, and who runs it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};

use super::check_readable;
use super::symbols::SymbolFile;
use crate::Hint;
use crate::record::{Arrival, RecordArgs};

const GDB: &str = "gdb";
const GDB_HINT: Hint = Hint("install gdb, or leave out --gdb and connect another debugger");

/// Who looks at the machine.
#[derive(Debug)]
enum User {
    /// Somebody who connects on his own.
    Elsewhere,
    Terminal,
    Script(PathBuf),
}

/// A debugger for a machine that is about to stand still.
#[derive(Debug)]
pub(super) struct Debugger {
    dir: PathBuf,
    socket: PathBuf,
    symbols: SymbolFile,
    user: User,
    child: Option<Child>,
}

impl Debugger {
    /// Makes ready what any debugger needs.
    pub(super) fn prepare(recording: &RecordArgs, dir: &Path) -> Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            socket: dir.join("gdb.sock"),
            symbols: SymbolFile::of(recording)?,
            user: User::Elsewhere,
            child: None,
        })
    }

    /// gdb, with somebody who types.
    pub(super) fn at_the_terminal(mut self) -> Result<Self> {
        find_gdb()?;
        self.user = User::Terminal;
        Ok(self)
    }

    /// gdb, which does what a file says.
    pub(super) fn in_batch(mut self, script: PathBuf) -> Result<Self> {
        find_gdb()?;
        check_readable(&script)?;
        self.user = User::Script(script);
        Ok(self)
    }

    /// Where QEMU listens for it.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The machine stands still.
    pub(super) fn start(
        &mut self,
        arrival: &Arrival,
        out: &mut dyn Write,
        talk: &mut dyn Write,
    ) -> Result<()> {
        let first = self.dir.join("first.gdb");
        fs::write(&first, self.first_commands(arrival))
            .with_context(|| format!("cannot write {}", first.display()))?;
        let mut gdb = Command::new(GDB);
        gdb.arg("-q");
        match &self.user {
            User::Elsewhere => {
                writeln!(out, "gdb -x {}", first.display())?;
                out.flush()?;
                writeln!(talk, "guesttrace: the machine waits; Ctrl-C ends it")?;
                return Ok(());
            }
            User::Terminal => gdb.arg("-x").arg(&first),
            User::Script(script) => {
                gdb.stdin(Stdio::null()).args(["-nx", "-batch"]);
                gdb.arg("-x").arg(&first).arg("-x").arg(script)
            }
        };
        out.flush()?;
        self.child = Some(gdb.spawn().context("cannot start gdb").context(GDB_HINT)?);
        Ok(())
    }

    /// What gdb has to know before anybody asks it anything.
    fn first_commands(&self, arrival: &Arrival) -> String {
        format!(
            "set confirm off\n\
             set architecture i386:x86-64\n\
             {}\
             target remote {}\n\
             thread {}\n\
             set confirm on\n",
            self.symbols.command(arrival.slide),
            self.socket.display(),
            arrival.cpu + 1
        )
    }

    /// How it ended; `None` while it runs, or when there is none.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        let ended = child.try_wait()?;
        if ended.is_some() {
            self.child = None;
        }
        Ok(ended)
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.child.is_some()
    }
}

impl Drop for Debugger {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both do nothing when it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn find_gdb() -> Result<()> {
    Command::new(GDB)
        .arg("--version")
        .output()
        .map(drop)
        .context("cannot run gdb")
        .context(GDB_HINT)
}
