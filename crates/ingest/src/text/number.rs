//! Numbers in text, without the detour over strings.

/// A whole number in decimal digits, nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    digits(text, 10)
}

/// A number of a process or thread; `-1` for none.
pub(super) fn tid(text: &[u8]) -> Option<i32> {
    match text {
        b"-1" => Some(-1),
        _ => i32::try_from(decimal(text)?).ok(),
    }
}

/// Hexadecimal digits, with or without `0x`.
pub(super) fn hex(text: &[u8]) -> Option<u64> {
    digits(text.strip_prefix(b"0x").unwrap_or(text), 16)
}

/// Decimal, or hexadecimal behind `0x`; negative ones as two's complement.
pub(super) fn any(text: &[u8]) -> Option<u64> {
    match text {
        [b'0', b'x', rest @ ..] => digits(rest, 16),
        [b'-', rest @ ..] => Some(decimal(rest)?.wrapping_neg()),
        _ => decimal(text),
    }
}

/// Seconds with a fraction of up to nine digits, in nanoseconds.
pub(super) fn seconds(text: &[u8]) -> Option<u64> {
    let point = memchr::memchr(b'.', text)?;
    let (whole, fraction) = (&text[..point], &text[point + 1..]);
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.pow(9 - u32::try_from(fraction.len()).ok()?);
    decimal(whole)?.checked_mul(1_000_000_000)?.checked_add(decimal(fraction)? * scale)
}

/// Milliseconds with a fraction of up to six digits, in nanoseconds.
pub(super) fn millis(text: &[u8]) -> Option<u64> {
    let point = memchr::memchr(b'.', text)?;
    let (whole, fraction) = (&text[..point], &text[point + 1..]);
    if fraction.is_empty() || fraction.len() > 6 {
        return None;
    }
    let scale = 10_u64.pow(6 - u32::try_from(fraction.len()).ok()?);
    decimal(whole)?.checked_mul(1_000_000)?.checked_add(decimal(fraction)? * scale)
}

fn digits(text: &[u8], base: u32) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, &byte| {
        let digit = char::from(byte).to_digit(base)?;
        sum.checked_mul(u64::from(base))?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_whole_or_not_at_all() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), None);
        assert_eq!(hex(b"0xffffffff821facd8"), Some(0xffff_ffff_821f_acd8));
        assert_eq!(hex(b"xyz"), None);
        assert_eq!(any(b"-12"), Some(0_u64.wrapping_sub(12)));
        assert_eq!(any(b"0x10"), Some(16));
        assert_eq!(tid(b"-1"), Some(-1));
        assert_eq!(seconds(b"2072.826137"), Some(2_072_826_137_000));
        assert_eq!(seconds(b"2072.826137123"), Some(2_072_826_137_123));
        assert_eq!(millis(b"983.632"), Some(983_632_000));
        for wrong in [&b"1"[..], b"1.", b".5", b"1.1234567890", b"", b"a.b"] {
            assert_eq!(seconds(wrong), None);
        }
    }
}
