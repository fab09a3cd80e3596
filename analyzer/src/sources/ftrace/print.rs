//! What the `print fmt` of an event says of its fields, where it says so plainly.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::expression::evaluate;

/// How a record's field is called in these texts.
const FIELD: &str = "REC->";

/// What is said of fields, by their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// Printed in hexadecimal, or as a set of flags.
    pub(super) hex: HashSet<String>,
    /// Names of values.
    pub(super) names: HashMap<String, BTreeMap<u64, String>>,
}

impl Hints {
    /// Reads the text of a `print fmt`.
    pub(super) fn of(print: &str) -> Self {
        let mut hints = Self::default();
        let mut parts = split(print).into_iter();
        let conversions = conversions(parts.next().unwrap_or(""));
        for (conversion, argument) in conversions.into_iter().zip(parts) {
            hints.take(conversion, argument.trim());
        }
        hints
    }

    fn take(&mut self, conversion: char, argument: &str) {
        if let Some(inside) = argument.strip_prefix("__print_symbolic(") {
            self.take_names(inside);
        } else if let Some(name) = flags_of(argument) {
            self.hex.insert(name.to_owned());
        } else if matches!(conversion, 'x' | 'X' | 'p')
            && let Some(name) = only_field(argument)
        {
            self.hex.insert(name.to_owned());
        }
    }

    /// `REC->vec, { 0, "HI" }, { 1, "TIMER" })`
    fn take_names(&mut self, inside: &str) {
        let mut parts = split(inside).into_iter();
        let Some(field) = parts.next().and_then(only_field) else {
            return;
        };
        let names: BTreeMap<u64, String> = parts.filter_map(pair).collect();
        if !names.is_empty() {
            self.names.insert(field.to_owned(), names);
        }
    }
}

/// The bit of `prev_state` that stands for a thread that was preempted: what decides whether a `+` is printed.
pub(super) fn preempted_bit(print: &str) -> Option<u64> {
    let before = print
        .split("? \"+\"")
        .next()
        .filter(|before| before.len() < print.len())?;
    let (_, mask) = before.rsplit_once("REC->prev_state &")?;
    evaluate(mask.trim()).filter(|bit| bit.is_power_of_two())
}

/// The parts between commas that are in no parentheses and no string.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    let (mut in_string, mut is_escaped) = (false, false);
    for (place, byte) in text.bytes().enumerate() {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'(' | b'{' | b'[' => depth += 1,
            b')' | b'}' | b']' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
        // The parenthesis that holds the whole text.
        if depth < 0 {
            parts.push(&text[start..place]);
            return parts;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The letters of the conversions of a format string; `*` for an argument that is a width.
fn conversions(format: &str) -> Vec<char> {
    let mut letters = format.chars();
    let mut found = Vec::new();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            continue;
        }
        for letter in letters.by_ref() {
            match letter {
                '%' => break,
                '*' => found.push('*'),
                'h' | 'l' | 'L' | 'z' | 'q' | '0'..='9' | '.' | '-' | '+' | '#' | ' ' => {}
                _ => {
                    found.push(letter);
                    break;
                }
            }
        }
    }
    found
}

/// The field, where an argument is one field under casts and nothing else: `(void *)REC->ip`.
fn only_field(argument: &str) -> Option<&str> {
    let (before, after) = argument.split_once(FIELD)?;
    let end = after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let (name, rest) = after.split_at(end.unwrap_or(after.len()));
    let is_cast = before
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "_ ()*".contains(letter));
    let is_end = rest.chars().all(|letter| letter == ')' || letter == ' ');
    (is_cast && is_end && !name.is_empty()).then_some(name)
}

/// The field, where an argument prints it as a set of flags, with or without a case for none.
fn flags_of(argument: &str) -> Option<&str> {
    let (before, inside) = argument.split_once("__print_flags(")?;
    let is_alone = before.is_empty() || before.trim_end().ends_with('?');
    let field = only_field(split(inside).first()?)?;
    is_alone.then_some(field)
}

/// `{ 1, "TIMER" }`
fn pair(text: &str) -> Option<(u64, String)> {
    let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let parts = split(inside);
    let [value, name] = parts[..] else {
        return None;
    };
    let name = name.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some((evaluate(value)?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_fields_is_found() {
        let hints = Hints::of(
            r#""vec=%u [action=%s] at=%pS, %*s 100%% %lx %s %s", REC->vec, __print_symbolic(REC->vec, { 0, "HI" },
            { (1 << 1), "a, \"b\"" }, { X, "?" }), (void *)REC->ip, 3, "x", (unsigned long)(REC->flags), REC->a + REC->b,
            (REC->gfp) ? __print_flags(REC->gfp, "|", {(unsigned long)0x1u, "A"} ) : "none""#,
        );
        let hex: HashSet<_> = ["ip", "flags", "gfp"].map(str::to_owned).into();
        assert_eq!(hints.hex, hex);
        let names = [(0, "HI".to_owned()), (2, "a, \\\"b\\\"".to_owned())];
        assert_eq!(hints.names["vec"], BTreeMap::from(names));
        for text in [
            "",
            "\"",
            "\"%",
            "\"%l",
            "\"%x\", __print_symbolic(",
            ")",
            "\"%s\", )(",
        ] {
            assert_eq!(Hints::of(text).names.len(), 0, "{text}");
        }
    }

    #[test]
    fn the_bit_of_preempted_threads_is_found() {
        let text = r#""%s%s ==>", (REC->prev_state & ((0x01 + 1) - 1)) ? __print_flags(REC->prev_state & 1, "|", { 0x01, "S" })
            : "R", REC->prev_state & (((0x0000 | 0x0001 | 0x007e) + 1) << 1) ? "+" : "", REC->next_comm"#;
        assert_eq!(preempted_bit(text), Some(0x100));
        assert_eq!(
            preempted_bit("REC->prev_state & (2048) ? \"+\" : \"\""),
            Some(0x800)
        );
        assert_eq!(preempted_bit("REC->prev_state & X ? \"+\" : \"\""), None);
        assert_eq!(preempted_bit("REC->prev_state & 3"), None);
    }
}
