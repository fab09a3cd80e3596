//! trace.dat against `trace-cmd report`.

use std::path::Path;
use std::process::Command;

use super::lines::{Line, Shown, read};
use super::{output_of, sample};

/// A line that `trace-cmd report -R -t` prints.
struct Told<'a> {
    tid: u32,
    cpu: u32,
    ticks: u64,
    event: &'a str,
    fields: &'a str,
}

/// Reads `  bash-12   [003]   668.619500700: event:   fields`; times of a raw clock have no point.
fn told(line: &str) -> Option<Told<'_>> {
    let (thread, rest) = line.split_once(" [")?;
    let (cpu, rest) = rest.split_once(']')?;
    let (_, tid) = thread.trim_end().rsplit_once('-')?;
    let (time, rest) = rest.trim_start().split_once(": ")?;
    let rest = rest.trim_start();
    let (event, fields) = rest
        .split_once(": ")
        .unwrap_or((rest.trim_end_matches(':'), ""));
    Some(Told {
        tid: tid.parse().ok()?,
        cpu: cpu.parse().ok()?,
        ticks: time.replace('.', "").parse().ok()?,
        event,
        fields,
    })
}

/// How many fields were compared, and how many are told in other words than numbers.
#[derive(Debug, Default)]
struct Count {
    compared: usize,
    other_words: usize,
}

impl Count {
    /// Compares the fields of an event.
    fn compare(&mut self, line: &Line, told: &str) {
        let places: Vec<Option<usize>> = line
            .fields
            .iter()
            .map(|(name, _)| place(told, name))
            .collect();
        for (index, (name, shown)) in line.fields.iter().enumerate() {
            let Some(start) = places[index] else {
                self.other_words += 1;
                continue;
            };
            let end = places
                .iter()
                .flatten()
                .filter(|place| **place > start)
                .min();
            let start = start + name.len() + 1;
            let text = told[start..end.copied().unwrap_or(told.len())].trim_end();
            match is_same(shown, text) {
                Some(true) => self.compared += 1,
                Some(false) => panic!(
                    "{}.{name}: {shown:?} is not {text:?}\n{line:?}\n{told}",
                    line.event
                ),
                None => self.other_words += 1,
            }
        }
    }
}

/// Where `name=` is in a line.
fn place(told: &str, name: &str) -> Option<usize> {
    let key = format!("{name}=");
    if told.starts_with(&key) {
        return Some(0);
    }
    told.find(&format!(" {key}")).map(|place| place + 1)
}

/// Whether a value is what is told; `None` when that has other words for it.
fn is_same(shown: &Shown, text: &str) -> Option<bool> {
    match shown {
        Shown::Missing => None,
        Shown::Text(bytes) => {
            // Spaces at the end and what cannot be printed are lost on the way.
            let own = String::from_utf8_lossy(bytes);
            Some(
                own.trim_end().replace('\n', " ") == text.replace('\n', " ")
                    || own.contains(|c: char| c.is_control()),
            )
        }
        Shown::Bytes(bytes) => {
            let list = text.strip_prefix("ARRAY[")?.strip_suffix(']')?;
            let told: Option<Vec<u8>> = list
                .split(", ")
                .map(|byte| u8::from_str_radix(byte, 16).ok())
                .collect();
            let told = told?;
            Some(told.starts_with(bytes) || bytes.starts_with(&told))
        }
        Shown::Number(number) => {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            let decimal = text.parse::<i128>().ok();
            let others = [16, 8].map(|radix| i128::from_str_radix(digits, radix).ok());
            let numbers: Vec<i128> = decimal
                .into_iter()
                .chain(others.into_iter().flatten())
                .collect();
            if numbers.is_empty() {
                return None;
            }
            // A number may be told with the bits of its field only.
            let is_number = |told: &i128| {
                let bits = [64, 32, 16, 8].map(|bits| (1_i128 << bits) - 1);
                bits.iter().any(|mask| {
                    (told & mask) == (i128::from(*number) & mask) && (*told >= 0 || *mask > 1 << 40)
                })
            };
            Some(numbers.iter().any(is_number))
        }
    }
}

/// Compares a whole file.
fn check(path: &Path) {
    let report = output_of(
        Command::new("trace-cmd")
            .args(["report", "-R", "-t", "-i"])
            .arg(path),
    );
    let all: Vec<Told<'_>> = report.lines().filter_map(told).collect();
    let dropped = report
        .lines()
        .filter(|line| line.contains("EVENTS DROPPED"))
        .count();
    let (lines, losses) = read(path);
    assert_eq!(lines.len(), all.len(), "events of {}", path.display());
    assert!(lines.len() > 100);
    assert_eq!(losses.len(), dropped, "losses");
    let mut count = Count::default();
    for (line, told) in lines.iter().zip(&all) {
        let own = (line.ticks, line.cpu, line.tid, line.event.as_str());
        assert_eq!(
            own,
            (told.ticks, told.cpu, told.tid, told.event),
            "{line:?}"
        );
        count.compare(line, told.fields);
    }
    assert!(count.compared > 4 * count.other_words, "{count:?}");
}

#[test]
fn a_trace_dat_has_what_trace_cmd_reports() {
    let Some(path) = sample("trace-cmd-v7-zstd.dat") else {
        guesttrace_tests::skip!("no foreign sample trace trace-cmd-v7-zstd.dat");
    };
    check(&path);
}
