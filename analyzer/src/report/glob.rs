//! Patterns of names: `*` is any bytes, `?` any one byte.

use std::borrow::Cow;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pattern: Vec<u8>,
}

impl Glob {
    /// The pattern written as `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            pattern: text.as_bytes().to_vec(),
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.pattern)
    }

    /// Whether all of `name` fits.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let pattern = &self.pattern[..];
        let (mut at, mut taken) = (0, 0);
        // The latest star, and how much of the name it swallows: on a mismatch it takes one byte more.
        let mut star: Option<(usize, usize)> = None;
        while taken < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, taken));
                    at += 1;
                }
                Some(byte) if *byte == b'?' || *byte == name[taken] => {
                    at += 1;
                    taken += 1;
                }
                Some(_) | None => match star {
                    Some((star_at, swallowed)) => {
                        star = Some((star_at, swallowed + 1));
                        (at, taken) = (star_at + 1, swallowed + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("sched_*", "sched_switch", true),
            ("sched_*", "xsched_switch", false),
            ("*_e?it", "syscall_exit", true),
            ("*a*b", "xaxbxab", true),
            ("*a*b", "xaxbxa", false),
            ("a?c", "ac", false),
            ("abc", "abc", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(
                Glob::new(pattern).matches(name.as_bytes()),
                expected,
                "{pattern:?} {name:?}"
            );
        }
    }
}
