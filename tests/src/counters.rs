//! The kernel's own counters as workload `mix` prints them.

use std::collections::BTreeMap;

/// Counters by file and name, summed over CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Such as `("/proc/stat", "ctxt")`.
    values: BTreeMap<(String, String), u64>,
}

impl Counters {
    /// Value of a counter.
    ///
    /// # Panics
    /// When the guest did not print it.
    #[must_use]
    pub fn get(&self, file: &str, name: &str) -> u64 {
        let key = (file.to_owned(), name.to_owned());
        *self
            .values
            .get(&key)
            .unwrap_or_else(|| panic!("the guest printed no {name} of {file}"))
    }

    /// Names of a file's counters.
    pub fn names(&self, file: &str) -> impl Iterator<Item = &str> {
        self.values
            .keys()
            .filter(move |(counted, _)| counted == file)
            .map(|(_, name)| name.as_str())
    }
}

/// The reading with that name, `before` or `after`.
#[must_use]
pub fn counters(console: &str, reading: &str) -> Counters {
    let mut counters = Counters::default();
    let begin = format!("== counters {reading} ==");
    let end = format!("== end of counters {reading} ==");
    let mut file = String::new();
    let lines = console.lines().map(|line| line.trim_end_matches('\r'));
    for line in lines
        .skip_while(|line| *line != begin)
        .skip(1)
        .take_while(|line| *line != end)
    {
        if let Some(name) = line
            .strip_prefix("== ")
            .and_then(|line| line.strip_suffix(" =="))
        {
            file = name.to_owned();
            continue;
        }
        if let Some((name, value)) = parse(&file, line) {
            counters.values.insert((file.clone(), name), value);
        }
    }
    counters
}

/// A line of one of the files: its name and its value, or the sum of its columns where those are CPUs.
fn parse(file: &str, line: &str) -> Option<(String, u64)> {
    let mut words = line.split_whitespace();
    let name = words.next()?.trim_end_matches(':').to_owned();
    let numbers = words.map_while(|word| word.parse::<u64>().ok());
    let value = match file {
        "/proc/interrupts" | "/proc/softirqs" => numbers.sum(),
        _ => { numbers }.next()?,
    };
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_told_apart_and_cpus_summed() {
        let console = "noise\n== counters before ==\n== /proc/stat ==\nctxt 10\nintr 7 0 3\n== /proc/interrupts ==\n           CPU0 CPU1\n LOC:   3   4   Local timer interrupts\n== end of counters before ==\n== counters after ==\n== /proc/stat ==\nctxt 25\n== end of counters after ==\n";
        let before = counters(console, "before");
        assert_eq!(before.get("/proc/stat", "ctxt"), 10);
        assert_eq!(before.get("/proc/stat", "intr"), 7);
        assert_eq!(before.get("/proc/interrupts", "LOC"), 7);
        assert_eq!(counters(console, "after").get("/proc/stat", "ctxt"), 25);
    }
}
