//! Words of an expression.

use super::error::{ExprError, ExprProblem};

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) word: Word,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Number {
        value: u64,
        hex: bool,
    },
    Name(String),
    /// Punctuation, longest match.
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 31] = [
    "->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "(", ")", "[", "]", ".", ",", "?", ":",
    "+", "-", "*", "/", "%", "<", ">", "&", "|", "^", "!", "~", "{", "}",
];

/// Splits `text` into words; the last is [`Word::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExprError> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&first) = chars.get(at) {
        if first.is_whitespace() {
            at += 1;
            continue;
        }
        let (word, length) = if first.is_ascii_digit() {
            number(&chars[at..]).map_err(|problem| ExprError { at, problem })?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = run(&chars[at..]);
            (Word::Name(chars[at..at + length].iter().collect()), length)
        } else if first == '\'' && chars.get(at + 2) == Some(&'\'') && chars[at + 1].is_ascii() {
            (
                Word::Number {
                    value: u64::from(u32::from(chars[at + 1])),
                    hex: false,
                },
                3,
            )
        } else {
            let sign = SIGNS.iter().find(|sign| {
                sign.chars()
                    .eq(chars[at..].iter().copied().take(sign.len()))
            });
            let sign = *sign.ok_or(ExprError {
                at,
                problem: ExprProblem::BadCharacter { found: first },
            })?;
            (Word::Sign(sign), sign.len())
        };
        found.push(Token { at, word });
        at += length;
    }
    found.push(Token {
        at: chars.len(),
        word: Word::End,
    });
    Ok(found)
}

fn run(chars: &[char]) -> usize {
    chars
        .iter()
        .take_while(|c| c.is_ascii_alphanumeric() || **c == '_')
        .count()
}

fn number(chars: &[char]) -> Result<(Word, usize), ExprProblem> {
    let length = run(chars);
    let text: String = chars[..length].iter().collect();
    let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
    let (value, hex) = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(digits) => (u64::from_str_radix(digits, 16), true),
        None if digits.len() > 1 && digits.starts_with('0') => {
            (u64::from_str_radix(digits, 8), true)
        }
        None => (digits.parse(), false),
    };
    match value {
        Ok(value) => Ok((Word::Number { value, hex }, length)),
        Err(_) => Err(ExprProblem::BadNumber { text }),
    }
}
