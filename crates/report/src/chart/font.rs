//! The one embedded font: how wide a text will be, on every machine alike.
//!
//! The page uses the reader's system font, which is narrower than DejaVu Sans nearly everywhere, so widths
//! measured here are safe there too.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, PxScaleFont, ScaleFont};

/// DejaVu Sans, cut down to Latin, Greek and Cyrillic letters; its licence lies beside it.
pub(crate) const DATA: &[u8] = include_bytes!("../../assets/DejaVuSans-Latin.ttf");

/// How wide a text is at this size, in the same unit.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let font = scaled(1000.0);
    let advance: f32 = text.chars().map(|glyph| font.h_advance(font.glyph_id(glyph))).sum();
    f64::from(advance) / 1000.0 * size
}

/// The font at a size that counts the em square, as SVG and CSS do; ab_glyph counts ascent to descent.
pub(crate) fn scaled(size: f64) -> PxScaleFont<&'static FontRef<'static>> {
    let font = font();
    let em = font.units_per_em().unwrap_or(font.height_unscaled());
    font.into_scaled(size as f32 * font.height_unscaled() / em)
}

/// As much of a text as fits, with an ellipsis where it was cut; nothing if not even three letters fit.
pub(crate) fn fit(text: &str, size: f64, room: f64) -> Option<String> {
    if width(text, size) <= room {
        return Some(text.to_owned());
    }
    let mut kept = String::new();
    let mut used = width("…", size);
    for character in text.chars() {
        used += width(character.encode_utf8(&mut [0; 4]), size);
        if used > room {
            break;
        }
        kept.push(character);
    }
    (kept.chars().count() >= 3).then(|| format!("{}…", kept.trim_end()))
}

fn font() -> &'static FontRef<'static> {
    static FONT: OnceLock<FontRef<'static>> = OnceLock::new();
    FONT.get_or_init(|| FontRef::try_from_slice(DATA).expect("the embedded font is a font"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_grow_with_text_and_size() {
        // DejaVu Sans: a digit is 1303 of 2048 units wide.
        assert!((width("0", 2048.0) - 1303.0).abs() < 1.0);
        assert!((width("00", 10.0) - 2.0 * width("0", 10.0)).abs() < 0.01);
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        assert_eq!(fit("short", 10.0, 500.0).as_deref(), Some("short"));
        let cut = fit("rwsem_down_write_slowpath", 10.0, 60.0).unwrap();
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 60.0);
        assert_eq!(fit("rwsem_down_write_slowpath", 10.0, 12.0), None);
    }
}
