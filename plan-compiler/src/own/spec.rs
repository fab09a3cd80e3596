//! The grammar of a probe: `[NAME=]PLACE [FIELD[:TYPE]=EXPRESSION]...`.
//!
//! `PLACE` is `FUNCTION`, `FUNCTION+OFFSET`, `FUNCTION%return`, `FILE.c:LINE` or `0xADDRESS`. A field begins behind white
//! space outside of parentheses with a name and an equals sign, so that expressions may have spaces.
//! What names mean is decided elsewhere.

use std::fmt;
use std::ops::Range;

use guesttrace_events::{FieldType, Hook};

use crate::fault::Caret;

/// A probe as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSpec {
    pub(super) text: String,
    /// The event's name, where it was given one.
    pub(super) name: Option<String>,
    pub(crate) hook: Hook,
    pub(super) fields: Vec<SpecField>,
}

/// A field of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpecField {
    pub(super) name: String,
    /// The type, where it is not left to the expression.
    pub(super) field_type: Option<FieldType>,
    pub(super) expression: String,
    /// Character of the probe at which the expression begins, counted from 0.
    pub(super) at: usize,
}

/// A text that is no probe; [`fmt::Display`] shows the place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    text: String,
    at: usize,
    problem: SpecProblem,
}

/// What is wrong with a probe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message is its documentation")]
pub enum SpecProblem {
    #[error("a function, FILE.c:LINE or 0xADDRESS expected")]
    NoPlace,
    #[error("PROGRAM:FUNCTION expected, such as /bin/busybox:main")]
    NoProgram,
    #[error("{name:?} is not a name: a letter or underscore, then letters, digits and underscores")]
    BadName { name: String },
    #[error("{name:?} is not the name of a function")]
    BadFunction { name: String },
    #[error("{text:?} is not an offset in bytes, such as 16 or 0x10")]
    BadOffset { text: String },
    #[error("{text:?} is not an address in hexadecimal, such as 0xffffffff81000000")]
    BadAddress { text: String },
    #[error("{text:?} is not the number of a line")]
    BadLine { text: String },
    #[error("a function is left as a whole: %return goes with its bare name")]
    ReturnOfPart,
    #[error("{text:?} is none of %return")]
    BadSuffix { text: String },
    #[error("a field needs a name: NAME=EXPRESSION")]
    NamelessField,
    #[error("the field {name:?} has no expression")]
    NoExpression { name: String },
    #[error(
        "the unknown type {text:?}: one of u64, i64, hex, bool, tid, pid, cpu, string, bytes, stack, enum:NAME"
    )]
    BadType { text: String },
    #[error("two fields are called {name:?}")]
    DuplicateField { name: String },
}

impl fmt::Display for SpecError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, at, whole) = (&self.text, self.at, true);
        write!(
            out,
            "probe: {}\n{}",
            self.problem,
            Caret { text, at, whole }
        )
    }
}

impl std::error::Error for SpecError {}

impl ProbeSpec {
    /// Reads a probe.
    ///
    /// # Errors
    /// What is wrong with the text and where.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        Self::read(text, false)
    }

    /// Reads a probe in a program: its place begins with `PROGRAM:`.
    ///
    /// # Errors
    /// What is wrong with the text and where.
    pub fn parse_in_program(text: &str) -> Result<Self, SpecError> {
        Self::read(text, true)
    }

    /// The program that it is in; `None` for the kernel.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.hook.program()
    }

    fn read(text: &str, is_in_program: bool) -> Result<Self, SpecError> {
        Reader {
            chars: text.chars().collect(),
            is_in_program,
        }
        .spec(text)
        .map_err(|(at, problem)| SpecError {
            text: text.to_owned(),
            at,
            problem,
        })
    }
}

type Fault = (usize, SpecProblem);

struct Reader {
    chars: Vec<char>,
    is_in_program: bool,
}

impl Reader {
    fn spec(&self, text: &str) -> Result<ProbeSpec, Fault> {
        let start = self.skip_space(0);
        let end = self.end_of(start, |c| !c.is_whitespace());
        if start == end {
            return Err((start, SpecProblem::NoPlace));
        }
        let equals = (start..end).find(|at| self.chars[*at] == '=');
        let name = equals.map(|equals| self.name(start..equals)).transpose()?;
        let place_start = equals.map_or(start, |equals| equals + 1);
        let hook = if self.is_in_program {
            self.place_in_program(place_start..end)?
        } else {
            self.place(place_start..end)?
        };
        let fields = self.fields(end)?;
        for (index, field) in fields.iter().enumerate() {
            if fields[..index].iter().any(|other| other.name == field.name) {
                let name = field.name.clone();
                return Err((field.at, SpecProblem::DuplicateField { name }));
            }
        }
        Ok(ProbeSpec {
            text: text.to_owned(),
            name,
            hook,
            fields,
        })
    }

    fn text(&self, range: Range<usize>) -> String {
        self.chars.get(range).unwrap_or_default().iter().collect()
    }

    fn skip_space(&self, from: usize) -> usize {
        self.end_of(from, char::is_whitespace)
    }

    fn end_of(&self, from: usize, belongs: impl Fn(char) -> bool) -> usize {
        let rest = self.chars.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|c| belongs(**c)).count()
    }

    fn name(&self, range: Range<usize>) -> Result<String, Fault> {
        let at = range.start;
        let name = self.text(range);
        if is_name(&name) {
            Ok(name)
        } else {
            Err((at, SpecProblem::BadName { name }))
        }
    }

    /// `PROGRAM:PLACE`.
    fn place_in_program(&self, range: Range<usize>) -> Result<Hook, Fault> {
        let colon = range.clone().find(|at| self.chars[*at] == ':');
        let Some(colon) = colon.filter(|colon| *colon > range.start) else {
            return Err((range.start, SpecProblem::NoProgram));
        };
        Ok(Hook::Program {
            program: self.text(range.start..colon),
            place: Box::new(self.place(colon + 1..range.end)?),
        })
    }

    fn place(&self, range: Range<usize>) -> Result<Hook, Fault> {
        let (at, text) = (range.start, self.text(range));
        if text.is_empty() {
            return Err((at, SpecProblem::NoPlace));
        }
        if let Some(digits) = text.strip_prefix("0x") {
            return match u64::from_str_radix(digits, 16) {
                Ok(addr) => Ok(Hook::Address(addr)),
                Err(_) => Err((at, SpecProblem::BadAddress { text })),
            };
        }
        if let Some((file, line)) = text.rsplit_once(':') {
            return match line.parse() {
                Ok(line) if line > 0 && !file.is_empty() => Ok(Hook::Line {
                    file: file.to_owned(),
                    line,
                }),
                _ => {
                    let at = at + file.chars().count() + 1;
                    let text = line.to_owned();
                    Err((at, SpecProblem::BadLine { text }))
                }
            };
        }
        self.function(at, &text)
    }

    /// `FUNCTION[+OFFSET]` or `FUNCTION%return`.
    fn function(&self, at: usize, text: &str) -> Result<Hook, Fault> {
        let (place, suffix) = match text.split_once('%') {
            Some((place, suffix)) => (place, Some(suffix)),
            None => (text, None),
        };
        let behind = at + place.chars().count() + 1;
        let (function, offset) = match place.split_once('+') {
            Some((function, offset)) => (function, Some(offset)),
            None => (place, None),
        };
        let is_symbol = |c: char| c.is_ascii_alphanumeric() || "_.$@".contains(c);
        if function.is_empty() || !function.chars().all(is_symbol) {
            let name = function.to_owned();
            return Err((at, SpecProblem::BadFunction { name }));
        }
        let function = function.to_owned();
        match (suffix, offset) {
            (Some("return"), None) => Ok(Hook::Return { function }),
            (Some("return"), Some(_)) => Err((behind, SpecProblem::ReturnOfPart)),
            (Some(suffix), _) => {
                let text = suffix.to_owned();
                Err((behind, SpecProblem::BadSuffix { text }))
            }
            (None, None) => Ok(Hook::Entry {
                function,
                offset: 0,
            }),
            (None, Some(offset)) => {
                let value = match offset.strip_prefix("0x") {
                    Some(digits) => u64::from_str_radix(digits, 16),
                    None => offset.parse(),
                };
                let bad = SpecProblem::BadOffset {
                    text: offset.to_owned(),
                };
                let at = at + function.chars().count() + 1;
                value
                    .map(|offset| Hook::Entry { function, offset })
                    .or(Err((at, bad)))
            }
        }
    }

    fn fields(&self, from: usize) -> Result<Vec<SpecField>, Fault> {
        let starts = self.field_starts(from);
        let first = self.skip_space(from);
        if first < self.chars.len() && starts.first() != Some(&first) {
            return Err((first, SpecProblem::NamelessField));
        }
        let ends = starts.iter().skip(1).copied().chain([self.chars.len()]);
        starts
            .iter()
            .zip(ends)
            .map(|(start, end)| self.field(*start..end))
            .collect()
    }

    /// Where fields begin: behind white space outside of parentheses, with a name and an equals sign.
    fn field_starts(&self, from: usize) -> Vec<usize> {
        let mut starts = Vec::new();
        let mut depth = 0_usize;
        for at in from..self.chars.len() {
            match self.chars[at] {
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            let is_behind_space = at > 0 && self.chars[at - 1].is_whitespace();
            if depth > 0 || !is_behind_space || !is_name_start(self.chars[at]) {
                continue;
            }
            let end = self.end_of(at, |c| c.is_ascii_alphanumeric() || "_:".contains(c));
            let is_equals = |at: usize| self.chars.get(at) == Some(&'=');
            if is_equals(end) && !is_equals(end + 1) {
                starts.push(at);
            }
        }
        starts
    }

    fn field(&self, range: Range<usize>) -> Result<SpecField, Fault> {
        let equals = self.end_of(range.start, |c| c != '=');
        let head = self.text(range.start..equals);
        let (name, field_type) = match head.split_once(':') {
            Some((name, field_type)) => (name.to_owned(), Some(field_type)),
            None => (head.clone(), None),
        };
        let field_type = field_type
            .map(|text| {
                text.parse().map_err(|()| {
                    let at = range.start + name.chars().count() + 1;
                    let text = text.to_owned();
                    (at, SpecProblem::BadType { text })
                })
            })
            .transpose()?;
        let at = self.skip_space(equals + 1).min(range.end);
        let expression = self.text(at..range.end).trim_end().to_owned();
        if expression.is_empty() {
            return Err((range.start, SpecProblem::NoExpression { name }));
        }
        Ok(SpecField {
            name,
            field_type,
            expression,
            at,
        })
    }
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name(text: &str) -> bool {
    text.starts_with(is_name_start) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};

    use super::ProbeSpec;

    fn check(text: &str, expected: &Expect) {
        let found = match ProbeSpec::parse(text) {
            Err(error) => error.to_string(),
            Ok(spec) => {
                let mut shown = format!("{} {}", spec.name.as_deref().unwrap_or("-"), spec.hook);
                for field in &spec.fields {
                    let kind = field.field_type.as_ref().map(ToString::to_string);
                    let kind = kind.unwrap_or_default();
                    let _ = write!(
                        shown,
                        " | {}:{kind}@{} {}",
                        field.name, field.at, field.expression
                    );
                }
                shown
            }
        };
        expected.assert_eq(&found);
    }

    #[test]
    fn places_and_fields_are_read() {
        check("do_exit", &expect![[r#"- entry:do_exit"#]]);
        check(
            " open=do_sys_openat2+0x10 ",
            &expect!["open entry:do_sys_openat2+0x10"],
        );
        check(
            "finish_task_switch.isra.0%return ret=ret",
            &expect!["- return:finish_task_switch.isra.0 | ret:@37 ret"],
        );
        check(
            "0xffffffff81000000 a=%rdi",
            &expect!["- address:0xffffffff81000000 | a:@21 %rdi"],
        );
        check("at=fs/open.c:1300", &expect!["at line:fs/open.c:1300"]);
        check(
            "f a=x + 1 b:hex=y c=(p == q ? p : q)",
            &expect![[r#"- entry:f | a:@4 x + 1 | b:hex@16 y | c:@20 (p == q ? p : q)"#]],
        );
        check(
            "f d=a<=b e:string=string(user, p)",
            &expect![[r#"- entry:f | d:@4 a<=b | e:string@18 string(user, p)"#]],
        );
        check(
            "f a= x  b=c[1 ]",
            &expect!["- entry:f | a:@5 x | b:@10 c[1 ]"],
        );
    }

    #[test]
    fn what_is_wrong_is_shown_in_its_place() {
        check(
            "",
            &expect![[r#"
                probe: a function, FILE.c:LINE or 0xADDRESS expected
  
                  ^"#]],
        );
        check(
            "open=",
            &expect![[r#"
            probe: a function, FILE.c:LINE or 0xADDRESS expected
              open=
                   ^"#]],
        );
        check(
            "2x=f",
            &expect![[r#"
            probe: "2x" is not a name: a letter or underscore, then letters, digits and underscores
              2x=f
              ^^^^"#]],
        );
        check(
            "f+ten",
            &expect![[r#"
            probe: "ten" is not an offset in bytes, such as 16 or 0x10
              f+ten
                ^^^"#]],
        );
        check(
            "f%leave",
            &expect![[r#"
            probe: "leave" is none of %return
              f%leave
                ^^^^^"#]],
        );
        check(
            "f+4%return",
            &expect![[r#"
            probe: a function is left as a whole: %return goes with its bare name
              f+4%return
                  ^^^^^^"#]],
        );
        check(
            "0xfffz",
            &expect![[r#"
            probe: "0xfffz" is not an address in hexadecimal, such as 0xffffffff81000000
              0xfffz
              ^^^^^^"#]],
        );
        check(
            "open.c:x",
            &expect![[r#"
            probe: "x" is not the number of a line
              open.c:x
                     ^"#]],
        );
        check(
            "do-exit",
            &expect![[r#"
            probe: "do-exit" is not the name of a function
              do-exit
              ^^^^^^^"#]],
        );
        check(
            "f filename",
            &expect![[r#"
            probe: a field needs a name: NAME=EXPRESSION
              f filename
                ^^^^^^^^"#]],
        );
        check(
            "f a= b=1",
            &expect![[r#"
            probe: the field "a" has no expression
              f a= b=1
                ^^"#]],
        );
        check(
            "f a:u16=1",
            &expect![[r#"
            probe: the unknown type "u16": one of u64, i64, hex, bool, tid, pid, cpu, string, bytes, stack, enum:NAME
              f a:u16=1
                  ^^^^^"#]],
        );
        check(
            "f a=1 a=2",
            &expect![[r#"
            probe: two fields are called "a"
              f a=1 a=2
                      ^"#]],
        );
    }
}
