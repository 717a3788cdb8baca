//! A tracepoint's format description: the text of `events/SYSTEM/NAME/format`, which stands in the capture.
//!
//! Field offsets, sizes and flag tables differ between kernels, so nothing of them is written into the
//! code; they are taken from here. (`Documentation/trace/events.rst`, Linux 6.1, describes the text.)

use super::bytes::Bytes;
use super::expression::evaluate;

/// One tracepoint's description.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct EventFormat {
    /// `sched_switch`.
    pub name: String,
    /// The number that stands in `attr.config` and in each raw record.
    pub id: u32,
    /// The fields, common ones first.
    pub fields: Vec<Field>,
    /// `print fmt`, unparsed.
    pub print: String,
}

/// One field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Field {
    /// Its name, without array brackets.
    pub name: String,
    /// Where it lies in the raw record, in bytes.
    pub offset: usize,
    /// How many bytes it takes there.
    pub size: usize,
    /// Whether its numbers are signed.
    pub signed: bool,
    /// Where the value is.
    pub place: Place,
}

/// Where a field's value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In the field.
    Inline,
    /// `__data_loc`: the field holds length (upper half) and offset from the record's start (lower half).
    DataLoc,
    /// `__rel_loc` (Linux 5.18 and later): likewise, but from the end of the field.
    RelLoc,
}

/// No event of any kernel has more fields, or a longer `print fmt`; what goes beyond is not read.
const MOST_FIELDS: usize = 1024;
const LONGEST_PRINT: usize = 1 << 16;
const MOST_FLAGS: usize = 128;

impl EventFormat {
    /// Reads a description; `None` without a name or an id.
    pub fn parse(text: &str) -> Option<Self> {
        let mut format = Self::default();
        let mut id = None;
        for line in text.lines() {
            let line = line.trim();
            if let Some(name) = line.strip_prefix("name:") {
                format.name = name.trim().to_owned();
            } else if let Some(number) = line.strip_prefix("ID:") {
                id = number.trim().parse().ok();
            } else if let Some(field) = line.strip_prefix("field:").and_then(Field::parse) {
                if format.fields.len() < MOST_FIELDS {
                    format.fields.push(field);
                }
            } else if let Some(print) = line.strip_prefix("print fmt:") {
                let print = print.trim();
                format.print = print[..print.floor_char_boundary(LONGEST_PRINT)].to_owned();
            }
        }
        format.id = id?;
        (!format.name.is_empty()).then_some(format)
    }

    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The flag or symbol table that `print fmt` shows this field with:
    /// `__print_flags(REC->FIELD ..., "|", { VALUE, "NAME" }, ...)` or `__print_symbolic(REC->FIELD, ...)`.
    pub fn table(&self, field: &str) -> Vec<(u64, String)> {
        let needle = format!("REC->{field}");
        for function in ["__print_flags(", "__print_symbolic("] {
            let mut rest = self.print.as_str();
            while let Some(start) = rest.find(function) {
                // Looked at once, what stands in it included: calls within calls of one function are no kernel's.
                let Some((call, behind)) = call_arguments(&rest[start + function.len()..]) else {
                    break;
                };
                if names_field(call, &needle) {
                    return entries(call);
                }
                rest = behind;
            }
        }
        Vec::new()
    }

    /// The mask of `REC->FIELD & MASK ? "TEXT"` in `print fmt`: how `sched_switch` marks preemption.
    pub fn mask_shown_as(&self, field: &str, text: &str) -> Option<u64> {
        let shown = self.print.find(&format!("? \"{text}\""))?;
        let before = &self.print[..shown];
        let start = before.rfind(&format!("REC->{field} & "))?;
        evaluate(before[start..].split_once('&')?.1.trim())
    }
}

impl Field {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let declaration = parts.next()?;
        let (mut offset, mut size, mut signed) = (None, None, false);
        for part in parts {
            match part.split_once(':') {
                Some(("offset", number)) => offset = number.parse().ok(),
                Some(("size", number)) => size = number.parse().ok(),
                Some(("signed", number)) => signed = number == "1",
                _ => {}
            }
        }
        let place = if declaration.starts_with("__data_loc") {
            Place::DataLoc
        } else if declaration.starts_with("__rel_loc") {
            Place::RelLoc
        } else {
            Place::Inline
        };
        let last = declaration.split_whitespace().next_back()?;
        let name = last.split('[').next()?.trim_start_matches('*').to_owned();
        Some(Self { name, offset: offset?, size: size?, signed, place })
    }

    /// The number in this field of a raw record.
    #[inline]
    pub fn number(&self, raw: &[u8], big_endian: bool) -> Option<u64> {
        if !matches!(self.size, 1 | 2 | 4 | 8) {
            return None;
        }
        let bytes = raw.get(self.offset..)?;
        // Nearly always eight bytes are there, and one way for all sizes is faster than one for each.
        let word = match bytes.first_chunk() {
            Some(&word) if big_endian => u64::from_be_bytes(word) >> self.unused(),
            Some(&word) => u64::from_le_bytes(word),
            None => self.last_number(bytes, big_endian)?,
        };
        let number = word << self.unused();
        Some(if self.signed {
            (number.cast_signed() >> self.unused()).cast_unsigned()
        } else {
            number >> self.unused()
        })
    }

    /// A number at the end of a raw record.
    #[cold]
    fn last_number(&self, bytes: &[u8], big_endian: bool) -> Option<u64> {
        let mut bytes = Bytes::new(bytes, big_endian);
        match self.size {
            4 => bytes.u32().map(u64::from),
            2 => bytes.u16().map(u64::from),
            1 => bytes.u8().map(u64::from),
            _ => None,
        }
    }

    /// How many bits of a word a number of this size leaves.
    fn unused(&self) -> u32 {
        u64::BITS.saturating_sub(self.size as u32 * u8::BITS)
    }

    /// A string of at most 16 bytes, such as a thread's name, as a number: what follows its first zero byte is left
    /// out. `None` for other fields.
    pub fn short_text(&self, raw: &[u8]) -> Option<u128> {
        const LOWS: u128 = u128::MAX / 0xff;
        const HIGHS: u128 = LOWS << 7;
        if self.size != 16 || self.place != Place::Inline {
            return None;
        }
        let text = u128::from_le_bytes(*raw.get(self.offset..)?.first_chunk()?);
        // The lowest of the bits that are set is the highest of the first zero byte.
        let zeros = text.wrapping_sub(LOWS) & !text & HIGHS;
        let ends = zeros.trailing_zeros() / 8 * 8;
        Some(if zeros == 0 { text } else { text & !(u128::MAX << ends) })
    }

    /// The bytes of a string or array, up to the first zero byte.
    pub fn text<'a>(&self, raw: &'a [u8], big_endian: bool) -> Option<&'a [u8]> {
        let (start, length) = match self.place {
            Place::Inline => (self.offset, self.size),
            Place::DataLoc | Place::RelLoc => {
                let at = Self { place: Place::Inline, signed: false, ..self.clone() };
                let word = at.number(raw, big_endian)?;
                let offset = usize::try_from(word & 0xffff).ok()?;
                let after = self.offset.saturating_add(self.size);
                let base = if self.place == Place::RelLoc { after } else { 0 };
                (base.saturating_add(offset), usize::try_from((word >> 16) & 0xffff).ok()?)
            }
        };
        let bytes = raw.get(start..start.checked_add(length)?)?;
        Some(&bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())])
    }
}

/// The text up to the parenthesis that closes a call, and the text from there on; `None` if none closes it.
fn call_arguments(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1_u32;
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(text.split_at(at));
                }
            }
            _ => {}
        }
    }
    None
}

fn names_field(call: &str, needle: &str) -> bool {
    call.match_indices(needle).any(|(at, _)| {
        let after = call[at + needle.len()..].bytes().next();
        !after.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// The `{ VALUE, "NAME" }` pairs of a call.
fn entries(call: &str) -> Vec<(u64, String)> {
    call.split('{')
        .skip(1)
        .filter_map(|entry| {
            let (value, name) = entry.split('}').next()?.split_once(',')?;
            Some((evaluate(value.trim())?, name.trim().trim_matches('"').to_owned()))
        })
        .take(MOST_FLAGS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWITCH: &str = r#"name: sched_switch
ID: 372
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;

	field:char prev_comm[16];	offset:8;	size:16;	signed:0;
	field:pid_t prev_pid;	offset:24;	size:4;	signed:1;
	field:long prev_state;	offset:32;	size:8;	signed:1;

print fmt: "prev_state=%s%s", (REC->prev_state & ((((0x00000000 | 0x00000001 | 0x00000080) + 1) << 1) - 1)) ? __print_flags(REC->prev_state & ((((0x00000000) + 1) << 1) - 1), "|", { 0x00000001, "S" }, { 0x00000002, "D" }) : "R", REC->prev_state & (((0x00000000 | 0x00000040 | 0x0000003f) + 1) << 1) ? "+" : "", REC->next_comm
"#;

    #[test]
    fn a_field_is_read_where_the_description_puts_it() {
        let format = EventFormat::parse(SWITCH).unwrap();
        let mut raw = vec![0; 40];
        raw[8..13].copy_from_slice(b"redis");
        raw[24..28].copy_from_slice(&(-5_i32).to_le_bytes());
        let pid = format.field("prev_pid").unwrap().number(&raw, false);
        assert_eq!(pid.map(u64::cast_signed), Some(-5));
        assert_eq!(format.field("prev_comm").unwrap().text(&raw, false), Some(&b"redis"[..]));
        assert_eq!(format.field("prev_state").unwrap().number(&raw[..36], false), None);
    }

    #[test]
    fn flag_tables_and_masks_come_from_the_print_format() {
        let format = EventFormat::parse(SWITCH).unwrap();
        assert_eq!(format.table("prev_state"), [(1, "S".to_owned()), (2, "D".to_owned())]);
        assert_eq!(format.mask_shown_as("prev_state", "+"), Some(0x100));
        assert!(format.table("prev").is_empty());
    }

    #[test]
    fn the_old_preemption_mask_is_read_too() {
        let print = r#"print fmt: "%s%s", REC->prev_state & (2048-1) ? __print_flags(REC->prev_state & (2048-1), "|", { 1, "S"} , { 2, "D" }) : "R", REC->prev_state & 2048 ? "+" : "", REC->next_comm"#;
        let format = EventFormat::parse(&format!("name: sched_switch\nID: 1\n{print}")).unwrap();
        assert_eq!(format.mask_shown_as("prev_state", "+"), Some(2048));
        assert_eq!(format.table("prev_state").len(), 2);
    }

    #[test]
    fn strings_behind_a_data_or_relative_location_are_found() {
        let at = |declaration: &str| {
            Field::parse(&format!("{declaration} name;\toffset:8;\tsize:4;\tsigned:0;")).unwrap()
        };
        let mut raw = vec![0; 24];
        raw[16..20].copy_from_slice(b"sda\0");
        raw[8..12].copy_from_slice(&((4_u32 << 16) | 16).to_le_bytes());
        assert_eq!(at("__data_loc char[]").text(&raw, false), Some(&b"sda"[..]));
        raw[8..12].copy_from_slice(&((4_u32 << 16) | 4).to_le_bytes());
        assert_eq!(at("__rel_loc char[]").text(&raw, false), Some(&b"sda"[..]));
        raw[8..12].copy_from_slice(&((400_u32 << 16) | 16).to_le_bytes());
        assert_eq!(at("__data_loc char[]").text(&raw, false), None);
    }

    #[test]
    fn a_short_text_is_the_number_of_its_bytes() {
        let format = EventFormat::parse(SWITCH).unwrap();
        let comm = format.field("prev_comm").unwrap();
        for name in ["", "a", "swapper/0", "fifteen bytes..", "sixteen bytes..."] {
            let mut raw = vec![0x80; 40];
            raw[8..8 + name.len()].copy_from_slice(name.as_bytes());
            if name.len() < 16 {
                raw[8 + name.len()] = 0;
            }
            let number = comm.short_text(&raw).unwrap().to_le_bytes();
            let text = comm.text(&raw, false).unwrap();
            assert_eq!(text, name.as_bytes());
            assert_eq!(&number[..text.len()], text);
            assert!(number[text.len()..].iter().all(|&byte| byte == 0), "{name}");
        }
        assert_eq!(comm.short_text(&[0; 20]), None);
        assert_eq!(format.field("prev_pid").unwrap().short_text(&[0; 40]), None);
    }

    #[test]
    fn big_endian_numbers_are_read_as_such() {
        let field = Field::parse("int x;\toffset:0;\tsize:4;\tsigned:1;").unwrap();
        assert_eq!(field.number(&[0, 0, 1, 0], true), Some(256));
        assert_eq!(field.number(&[0xff, 0xff, 0xff, 0xfe], true).map(u64::cast_signed), Some(-2));
    }
}
