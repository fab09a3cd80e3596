//! Constant expressions of C, as far as formats of events have them: `((0x0001 | 0x0040) + 1) << 1`.

/// Deepest nesting that is followed: the texts are hostile.
const DEPTH_MAX: usize = 64;

/// What an expression without names comes to; `None` where it is none, or not understood.
pub(super) fn evaluate(text: &str) -> Option<u64> {
    let mut reader = Reader {
        rest: text.trim_start(),
        depth: 0,
    };
    let value = reader.binary(0)?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

/// Binary operators, by how tightly they bind.
const OPERATORS: &[(&str, u32)] = &[
    ("<<", 4),
    (">>", 4),
    ("|", 1),
    ("^", 2),
    ("&", 3),
    ("+", 5),
    ("-", 5),
    ("*", 6),
];

impl Reader<'_> {
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("").trim_start();
    }

    /// Operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: u32) -> Option<u64> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut value = self.unary()?;
        while let Some((operator, binding)) =
            self.operator().filter(|(_, binding)| *binding >= least)
        {
            self.skip(operator.len());
            let other = self.binary(binding + 1)?;
            let shift = u32::try_from(other).unwrap_or(u32::MAX);
            value = match operator {
                "<<" => value.checked_shl(shift).unwrap_or(0),
                ">>" => value.checked_shr(shift).unwrap_or(0),
                "|" => value | other,
                "^" => value ^ other,
                "&" => value & other,
                "+" => value.wrapping_add(other),
                "-" => value.wrapping_sub(other),
                _ => value.wrapping_mul(other),
            };
        }
        self.depth -= 1;
        Some(value)
    }

    fn operator(&self) -> Option<(&'static str, u32)> {
        OPERATORS
            .iter()
            .copied()
            .find(|(text, _)| self.rest.starts_with(text))
    }

    fn unary(&mut self) -> Option<u64> {
        match self.rest.as_bytes().first()? {
            b'-' => {
                self.skip(1);
                self.nested().map(u64::wrapping_neg)
            }
            b'~' => {
                self.skip(1);
                self.nested().map(|value| !value)
            }
            b'(' => self.parenthesis(),
            _ => self.number(),
        }
    }

    fn nested(&mut self) -> Option<u64> {
        self.depth += 1;
        let value = (self.depth <= DEPTH_MAX).then(|| self.unary()).flatten();
        self.depth -= 1;
        value
    }

    /// `(1 + 2)`, or a cast, which changes nothing here: `(unsigned long)1`.
    fn parenthesis(&mut self) -> Option<u64> {
        let inside = self.rest.get(1..)?;
        let end = inside.find(')')?;
        let word = inside.get(..end)?.trim();
        let is_cast = word
            .starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
            && word
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || " _*".contains(letter));
        if is_cast {
            self.skip(end + 2);
            return self.nested();
        }
        self.skip(1);
        let value = self.binary(0)?;
        let is_closed = self.rest.starts_with(')');
        self.skip(1);
        is_closed.then_some(value)
    }

    fn number(&mut self) -> Option<u64> {
        let end = self
            .rest
            .find(|letter: char| !letter.is_ascii_alphanumeric());
        let (word, _) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let digits = word.trim_end_matches(['u', 'U', 'l', 'L']);
        let value = match digits
            .strip_prefix("0x")
            .or_else(|| digits.strip_prefix("0X"))
        {
            Some(digits) => u64::from_str_radix(digits, 16),
            None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8),
            None => digits.parse(),
        };
        self.skip(word.len());
        value.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_formats_are_numbers() {
        let check =
            |text: &str, expected: Option<u64>| assert_eq!(evaluate(text), expected, "{text}");
        check(
            "(((0x0000 | 0x0001 | 0x0002 | 0x0040) + 1) << 1)",
            Some(0x88),
        );
        check("((((0x0000 | 0x007f) + 1) << 1) - 1)", Some(0xff));
        check(
            "(unsigned long)((( gfp_t)(0x400u|0x800u)) | (( gfp_t)0x40u))",
            Some(0xc40),
        );
        check("1 << 3", Some(8));
        check("(1UL << (0 + 2))", Some(4));
        check("-1", Some(u64::MAX));
        check("~(0x0f) & 0xff", Some(0xf0));
        check("10 - 2 - 3", Some(5));
        check("017", Some(15));
        check("1 << 64", Some(0));
        check("REC->x", None);
        check("(1", None);
        check("", None);
        check(&"(".repeat(10_000), None);
        check(&"-".repeat(10_000), None);
    }
}
