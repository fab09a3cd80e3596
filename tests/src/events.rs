//! Events of a trace, read through `guesttrace events --format json`: what scripts of users read.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::guest::guesttrace;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The whole object.
    pub json: Value,
}

impl Event {
    /// Name of the event.
    #[must_use]
    pub fn name(&self) -> &str {
        self.json["event"].as_str().unwrap_or("")
    }

    /// A number at the top level, such as `tsc`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn number(&self, key: &str) -> u64 {
        self.json[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key} of {}", self.json))
    }

    /// Name of the thread.
    #[must_use]
    pub fn comm(&self) -> &str {
        self.json["comm"].as_str().unwrap_or("")
    }

    /// A field as a signed number; hexadecimal strings count as numbers.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn field(&self, name: &str) -> i64 {
        let value = &self.json["fields"][name];
        let hex = value.as_str().and_then(|text| text.strip_prefix("0x"));
        let number = hex
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(u64::cast_signed);
        number
            .or_else(|| value.as_i64())
            .unwrap_or_else(|| panic!("{name} of {}", self.json))
    }

    /// A field as text.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.json["fields"][name].as_str().unwrap_or("")
    }
}

/// The events of a trace, as the program prints them with those options.
///
/// # Panics
/// When the program fails or prints what is not JSON.
#[must_use]
pub fn events(trace: &Path, options: &[&str]) -> Vec<Event> {
    let output = Command::new(guesttrace())
        .arg("events")
        .arg(trace)
        .args(["--format", "json"])
        .args(options)
        .output()
        .expect("cargo build --release comes first");
    assert!(
        output.status.success(),
        "guesttrace events: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("JSON is UTF-8")
        .lines()
        // What is missing is told in between.
        .filter(|line| !line.starts_with("{\"gap\":"))
        .map(|line| Event {
            json: serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")),
        })
        .collect()
}
