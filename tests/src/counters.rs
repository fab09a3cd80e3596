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
        for (name, value) in parse(&file, line) {
            counters.values.insert((file.clone(), name), value);
        }
    }
    counters
}

/// A line of one of the files: names and values; the sum of the columns where those are CPUs.
fn parse(file: &str, line: &str) -> Vec<(String, u64)> {
    let mut words = line.split_whitespace();
    match file {
        "/proc/diskstats" => {
            let columns = [
                (0, "reads"),
                (2, "sectors read"),
                (4, "writes"),
                (6, "sectors written"),
            ];
            columns_of(words.nth(2), words, &columns)
        }
        "/proc/net/dev" => {
            let columns = [
                (0, "bytes in"),
                (1, "packets in"),
                (8, "bytes out"),
                (9, "packets out"),
            ];
            columns_of(words.next(), words, &columns)
        }
        _ => {
            let Some(name) = words.next() else {
                return Vec::new();
            };
            let mut numbers = words.map_while(|word| word.parse::<u64>().ok());
            let value = match file {
                "/proc/interrupts" | "/proc/softirqs" => Some(numbers.sum()),
                _ => numbers.next(),
            };
            let named = |value| (name.trim_end_matches(':').to_owned(), value);
            value.map(named).into_iter().collect()
        }
    }
}

/// The columns with those names, of a device.
fn columns_of<'a>(
    device: Option<&str>,
    words: impl Iterator<Item = &'a str>,
    columns: &[(usize, &str)],
) -> Vec<(String, u64)> {
    let device = device.unwrap_or_default().trim_end_matches(':');
    let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    columns
        .iter()
        .filter_map(|(index, name)| Some((format!("{device} {name}"), *numbers.get(*index)?)))
        .collect()
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
