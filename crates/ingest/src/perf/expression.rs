//! Constant C expressions, as they stand in a tracepoint's `print fmt`: `(((0x40 | 0x1) + 1) << 1) - 1`.

/// The value of a constant expression; `None` for anything else.
pub(super) fn evaluate(text: &str) -> Option<u64> {
    let mut parser = Parser { rest: text.as_bytes(), depth: 0 };
    let value = parser.binary(0)?;
    parser.rest.trim_ascii().is_empty().then_some(value)
}

/// Deeper nesting than any kernel prints is refused, so that a hostile text cannot use up the stack.
const MAX_DEPTH: u32 = 64;

/// Operators by precedence, loosest first.
const LEVELS: &[&[&str]] = &[&["|"], &["&"], &["<<", ">>"], &["+", "-"], &["*"]];

struct Parser<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl Parser<'_> {
    fn binary(&mut self, level: usize) -> Option<u64> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.accept(operator)) {
            let right = self.binary(level + 1)?;
            left = match *operator {
                "|" => left | right,
                "&" => left & right,
                "<<" => left.checked_shl(u32::try_from(right).ok()?)?,
                ">>" => left.checked_shr(u32::try_from(right).ok()?)?,
                "+" => left.wrapping_add(right),
                "-" => left.wrapping_sub(right),
                _ => left.wrapping_mul(right),
            };
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<u64> {
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH {
            None
        } else if self.accept("~") {
            self.unary().map(|value| !value)
        } else if self.accept("-") {
            self.unary().map(u64::wrapping_neg)
        } else if self.accept("(") {
            let value = self.binary(0);
            if self.accept(")") { value } else { None }
        } else {
            self.number()
        };
        self.depth -= 1;
        value
    }

    fn number(&mut self) -> Option<u64> {
        self.rest = self.rest.trim_ascii_start();
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let (token, rest) = self.rest.split_at(length);
        let token = std::str::from_utf8(token).ok()?.trim_end_matches(['u', 'U', 'l', 'L']);
        let value = match token.strip_prefix("0x").or_else(|| token.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16).ok()?,
            None => token.parse().ok()?,
        };
        self.rest = rest;
        Some(value)
    }

    fn accept(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_ascii_start();
        match self.rest.strip_prefix(token.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_expressions_have_their_c_value() {
        for (text, value) in [
            ("0x00000001", Some(1)),
            ("(1U << 5)", Some(32)),
            ("(2048-1)", Some(2047)),
            ("((((0x00000000 | 0x00000001 | 0x00000040) + 1) << 1) - 1)", Some(0x83)),
            ("1 | 2 << 1 + 1", Some(9)),
            ("~0x0fUL & 0xff", Some(0xf0)),
            ("TASK_DEAD", None),
            ("1 << 99", None),
            ("(1", None),
            ("", None),
        ] {
            assert_eq!(evaluate(text), value, "{text}");
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        assert_eq!(evaluate(&"(".repeat(100_000)), None);
        assert_eq!(evaluate(&"~".repeat(100_000)), None);
    }
}
