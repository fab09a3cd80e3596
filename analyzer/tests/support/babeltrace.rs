//! What `babeltrace2` says of a trace: its events with their stamps and fields, from its text.

#![allow(dead_code, reason = "each test uses a part")]

use std::path::Path;
use std::process::Command;

/// An event as babeltrace2 prints it.
#[derive(Clone, Debug)]
pub(crate) struct Printed {
    pub(crate) ticks: u64,
    pub(crate) name: String,
    pub(crate) cpu: u64,
    /// Of the payload, and of the contexts with `ctx_` before their names.
    pub(crate) fields: Vec<(String, Shown)>,
}

/// A value as babeltrace2 prints it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    Number(String),
    Text(String),
    List(Vec<Shown>),
    Struct(Vec<(String, Shown)>),
}

/// Whether it can be asked.
pub(crate) fn version() -> Option<(u32, u32)> {
    let output = Command::new("babeltrace2").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text
        .split_whitespace()
        .nth(1)?
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    Some((numbers.next()?, numbers.next()?))
}

/// Asks babeltrace2 for all events, in its order.
pub(crate) fn events(directory: &Path) -> Vec<Printed> {
    let output = Command::new("babeltrace2")
        .args([
            "--clock-cycles",
            "--no-delta",
            "--names=scope,payload,context",
        ])
        .arg(directory)
        .output()
        .expect("babeltrace2 can be run: scripts/setup.sh --for test installs it");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(printed).collect()
}

/// `[00000011530279165200] host name: stream.packet.context = { cpu_id = 0 }, event.fields = { comm = "a" }`.
fn printed(line: &str) -> Printed {
    let (ticks, rest) = line.strip_prefix('[').unwrap().split_once("] ").unwrap();
    let (head, scopes) = rest
        .split_once(": ")
        .unwrap_or((rest.trim_end_matches(':'), ""));
    let mut parser = Parser {
        rest: scopes.as_bytes(),
    };
    let mut found = Printed {
        ticks: ticks.parse().unwrap(),
        name: head.rsplit(' ').next().unwrap().to_owned(),
        cpu: 0,
        fields: Vec::new(),
    };
    let mut contexts = Vec::new();
    while !parser.rest.is_empty() {
        let scope = parser.until(b" = ");
        let Shown::Struct(fields) = parser.value() else {
            panic!("no structure in {line}");
        };
        parser.take(b", ");
        match scope.as_str() {
            "event.fields" => found.fields.extend(fields),
            "stream.packet.context" => {
                let cpu = fields.iter().find(|(name, _)| name == "cpu_id");
                found.cpu = cpu.map_or(0, |(_, cpu)| number(cpu));
            }
            _ => contexts.extend(
                fields
                    .into_iter()
                    .map(|(name, value)| (format!("ctx_{name}"), value)),
            ),
        }
    }
    found.fields.extend(contexts);
    found
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl Parser<'_> {
    fn take(&mut self, word: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn until(&mut self, word: &[u8]) -> String {
        let at = self
            .rest
            .windows(word.len())
            .position(|window| window == word);
        let at =
            at.unwrap_or_else(|| panic!("no {word:?} in {}", String::from_utf8_lossy(self.rest)));
        let text = String::from_utf8_lossy(&self.rest[..at]).into_owned();
        self.rest = &self.rest[at + word.len()..];
        text
    }

    fn value(&mut self) -> Shown {
        if self.take(b"{ ") {
            if self.is_named() {
                return self.fields();
            }
            // The choice of a variant.
            let chosen = self.value();
            self.take(b" }");
            return chosen;
        }
        if self.take(b"[ ") {
            let mut list = Vec::new();
            while !self.take(b"]") {
                self.until(b" = ");
                list.push(self.value());
                self.take(b",");
                self.take(b" ");
            }
            return Shown::List(list);
        }
        if self.take(b"( ") {
            // A number with names.
            self.until(b"container = ");
            let number = self.value();
            self.take(b" )");
            return number;
        }
        if self.take(b"\"") {
            return self.text();
        }
        let end = self
            .rest
            .iter()
            .position(|byte| b" ,".contains(byte))
            .unwrap_or(self.rest.len());
        let word = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest = &self.rest[end..];
        Shown::Number(word)
    }

    /// Whether a name with its value comes, or the end of a structure.
    fn is_named(&self) -> bool {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let end = self.rest.iter().position(|byte| !is_word(byte));
        let rest = &self.rest[end.unwrap_or(self.rest.len())..];
        self.rest.starts_with(b"}") || rest.starts_with(b" = ")
    }

    fn fields(&mut self) -> Shown {
        let mut fields = Vec::new();
        while !self.take(b"}") {
            let name = self.until(b" = ");
            fields.push((name, self.value()));
            self.take(b",");
            self.take(b" ");
        }
        Shown::Struct(fields)
    }

    fn text(&mut self) -> Shown {
        let mut text = Vec::new();
        loop {
            let byte = self.rest[0];
            self.rest = &self.rest[1..];
            match byte {
                b'"' => return Shown::Text(String::from_utf8_lossy(&text).into_owned()),
                b'\\' => {
                    let escaped = self.rest[0];
                    self.rest = &self.rest[1..];
                    text.push(match escaped {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        other => other,
                    });
                }
                other => text.push(other),
            }
        }
    }
}

/// A number's bits.
pub(crate) fn number(shown: &Shown) -> u64 {
    let Shown::Number(word) = shown else {
        panic!("{shown:?} is no number");
    };
    let parsed = match word.as_bytes() {
        [b'0', b'x', ..] => u64::from_str_radix(&word[2..], 16).ok(),
        [b'0', b'b', ..] => u64::from_str_radix(&word[2..], 2).ok(),
        [b'0', _, ..] => u64::from_str_radix(&word[1..], 8).ok(),
        [b'-', ..] => word.parse::<i64>().ok().map(i64::cast_unsigned),
        _ => word.parse().ok(),
    };
    parsed.unwrap_or_else(|| panic!("{word:?} is no number"))
}

/// The text that we make of what has parts.
pub(crate) fn text(shown: &Shown) -> String {
    match shown {
        Shown::Number(word) if word.starts_with("0x") => word.to_lowercase(),
        Shown::Number(word) if word.starts_with('0') && word.len() > 1 && !word.contains('.') => {
            number(shown).to_string()
        }
        Shown::Number(word) => word.clone(),
        Shown::Text(text) => format!("\"{text}\""),
        Shown::List(list) => format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(", ")),
        Shown::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name} = {}", text(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}
