//! Numbers with their suffixes, exact: no floating point.

use crate::expr::{Number, Quantity};

/// Largest absolute value: beyond 64 bits by enough for any unit.
const ABSOLUTE_MAX: i128 = 1 << 100;

/// Understands a number as the lexer cut it out: everything up to what cannot be part of one.
///
/// `Err` says what is wrong.
pub(crate) fn parse(text: &str) -> Result<Number, &'static str> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let number = match rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        Some(digits) => hexadecimal(digits)?,
        None => decimal(rest)?,
    };
    Ok(if negative {
        Number {
            value: -number.value,
            hexadecimal: false,
            ..number
        }
    } else {
        number
    })
}

fn hexadecimal(digits: &str) -> Result<Number, &'static str> {
    let digits = digits.replace('_', "");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("hexadecimal digits must follow 0x");
    }
    let value = u64::from_str_radix(&digits, 16).or(Err("more than 64 bits"))?;
    Ok(Number {
        value: i128::from(value),
        hexadecimal: true,
        quantity: None,
    })
}

fn decimal(text: &str) -> Result<Number, &'static str> {
    let digits_end = text
        .find(|c: char| !matches!(c, '0'..='9' | '_' | '.'))
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(digits_end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || (digits.contains('.') && fraction.is_empty()) || fraction.contains('.') {
        return Err("digits must be on both sides of the point");
    }
    let (quantity, unit) = match suffix {
        "" => (None, 1),
        _ => {
            let (quantity, unit) = Quantity::of_unit(suffix)
                .ok_or("the suffix is none of ns us ms s B KiB MiB GiB TiB")?;
            (Some(quantity), unit)
        }
    };
    let mut value = digits_value(whole)?.checked_mul(unit).ok_or("too large")?;
    if !fraction.is_empty() {
        let places = fraction.bytes().filter(u8::is_ascii_digit).count();
        let scale = u32::try_from(places)
            .ok()
            .and_then(|places| 10i128.checked_pow(places));
        let scaled = digits_value(fraction)?
            .checked_mul(unit)
            .ok_or("too large")?;
        let scale = scale.ok_or("too many digits")?;
        if scaled % scale != 0 {
            return Err("it is not a whole number of nanoseconds, bytes or what the field counts");
        }
        value += scaled / scale;
    }
    if value > ABSOLUTE_MAX {
        Err("too large")
    } else {
        Ok(Number {
            value,
            hexadecimal: false,
            quantity,
        })
    }
}

fn digits_value(digits: &str) -> Result<i128, &'static str> {
    let value: i128 = digits
        .replace('_', "")
        .parse()
        .or(Err("too large, or no digit"))?;
    if value > ABSOLUTE_MAX {
        Err("too large")
    } else {
        Ok(value)
    }
}
