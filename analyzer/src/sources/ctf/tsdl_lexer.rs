//! Words of TSDL, the language of CTF 1.8's metadata.

use super::error::MetadataError;

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(i128),
    /// `:=`, `->`, `...` and single characters.
    Sign(&'static str),
}

/// Signs, the longer ones first.
const SIGNS: [&str; 22] = [
    "...", ":=", "->", "::", "{", "}", "(", ")", "[", "]", "<", ">", "=", ";", ",", ".", ":", "*",
    "+", "-", "&", "|",
];

/// Splits the text; each word comes with the number of its line.
pub(super) fn split(text: &str) -> Result<Vec<(Token, u32)>, MetadataError> {
    let mut lexer = Lexer {
        rest: text,
        line: 1,
    };
    let mut tokens = Vec::new();
    while lexer.skip_space()? {
        let line = lexer.line;
        tokens.push((lexer.token()?, line));
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    line: u32,
}

impl Lexer<'_> {
    fn fail<T>(&self, what: impl Into<String>) -> Result<T, MetadataError> {
        Err(MetadataError::new(format!("line {}", self.line), what))
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        let lines = passed.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
    }

    /// Passes over blanks and comments; whether anything is left.
    fn skip_space(&mut self) -> Result<bool, MetadataError> {
        loop {
            let trimmed = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\0']);
            self.advance(self.rest.len() - trimmed.len());
            if self.rest.starts_with("/*") {
                match self.rest.find("*/") {
                    Some(end) => self.advance(end + 2),
                    None => return self.fail("a comment does not end"),
                }
            } else if self.rest.starts_with("//") || self.rest.starts_with('#') {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.advance(end);
            } else {
                return Ok(!self.rest.is_empty());
            }
        }
    }

    fn token(&mut self) -> Result<Token, MetadataError> {
        let first = self.rest.chars().next().unwrap_or(' ');
        if first == '"' || first == '\'' {
            return self.text(first);
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        if is_word(first) {
            let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            let word = self.rest[..end].to_owned();
            let token = if first.is_ascii_digit() {
                match number(&word) {
                    Some(number) => Token::Number(number),
                    None => return self.fail(format!("{word} is no number")),
                }
            } else {
                Token::Name(word)
            };
            self.advance(end);
            return Ok(token);
        }
        let Some(sign) = SIGNS.into_iter().find(|sign| self.rest.starts_with(sign)) else {
            return self.fail(format!("{first:?} means nothing"));
        };
        self.advance(sign.len());
        Ok(Token::Sign(sign))
    }

    fn text(&mut self, quote: char) -> Result<Token, MetadataError> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            if character == quote {
                self.advance(at + 1);
                return Ok(Token::Text(text));
            }
            if character != '\\' {
                text.push(character);
                continue;
            }
            match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, other)) => text.push(other),
                None => break,
            }
        }
        self.fail("a text does not end")
    }
}

/// A number as C writes it.
fn number(word: &str) -> Option<i128> {
    let word = word.trim_end_matches(['u', 'U', 'l', 'L']);
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', b'b' | b'B', ..] => (&word[2..], 2),
        [b'0', _, ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    u64::from_str_radix(digits, radix).ok().map(i128::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_and_have_lines() {
        let text = "a := /* b\n */ 0x1F ... -010; // end\n\"q\\\"\\n\"";
        let expected = [
            (Token::Name("a".to_owned()), 1),
            (Token::Sign(":="), 1),
            (Token::Number(31), 2),
            (Token::Sign("..."), 2),
            (Token::Sign("-"), 2),
            (Token::Number(8), 2),
            (Token::Sign(";"), 2),
            (Token::Text("q\"\n".to_owned()), 3),
        ];
        assert_eq!(split(text), Ok(expected.to_vec()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = |text| split(text).unwrap_err().to_string();
        assert_eq!(
            wrong("\n/* a"),
            "line 2 of its metadata: a comment does not end"
        );
        assert_eq!(wrong("\"a"), "line 1 of its metadata: a text does not end");
        assert_eq!(wrong("1x"), "line 1 of its metadata: 1x is no number");
        assert_eq!(wrong("a ?"), "line 1 of its metadata: '?' means nothing");
    }
}
