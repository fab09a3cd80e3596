//! What the guest printed.

use guesttrace_tests::Run;

/// What the guest printed, by section and name.
pub(crate) struct Console<'c> {
    pub(crate) lines: Vec<&'c str>,
}

impl<'c> Console<'c> {
    pub(crate) fn new(run: &'c Run) -> Self {
        let lines = run.console.lines().map(|line| line.trim_end_matches('\r'));
        Self {
            lines: lines.collect(),
        }
    }

    /// The lines from that one on to the next that begins with `end`.
    pub(crate) fn section(&self, begin: &str, end: &str) -> Self {
        let lines = self
            .lines
            .iter()
            .skip_while(|line| !line.starts_with(begin))
            .skip(1);
        let lines = lines.take_while(|line| !line.starts_with(end)).copied();
        Self {
            lines: lines.collect(),
        }
    }

    /// The numbers of the only line of a section.
    pub(crate) fn numbers(&self, section: &str) -> Vec<u64> {
        let line = self
            .section(section, "==")
            .lines
            .first()
            .copied()
            .expect("a line");
        // The name of a process may have anything in it.
        let line = line.rsplit_once(')').map_or(line, |(_, rest)| rest);
        line.split_whitespace()
            .map(|word| word.parse().unwrap_or(0))
            .collect()
    }

    /// A number behind its name.
    pub(crate) fn named(&self, section: &str, name: &str) -> u64 {
        let lines = self.section(section, "==").lines;
        let found = lines
            .iter()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no {name} in {section}: {lines:?}"))
    }
}
