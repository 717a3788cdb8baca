//! A scene as PNG, the same on every machine: plotters paints the shapes, the embedded font the texts.
//!
//! Texts do not go through plotters, because it sets each letter on a whole pixel, which at the size of a
//! slide's labels shows as uneven gaps.

use ab_glyph::{ScaleFont, point};
use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::RGBColor;
use plotters_backend::BackendColor;

use super::font;
use super::scene::{Anchor, Area, Dust, Label, Scene, Shape};
use super::theme::{self, Rgb};
use crate::ReportError;

/// Pictures taller than this are cut: a slide is not a wall.
const TALLEST: f64 = 4_000.0;
/// Length of a dash and of the gap after it.
const DASH: i32 = 6;

/// The picture's bytes; `name` is for the message if that fails.
pub(crate) fn png(scene: &Scene, name: &'static str) -> Result<Vec<u8>, ReportError> {
    let width = whole(scene.width.clamp(1.0, TALLEST)).unsigned_abs();
    let height = whole(scene.height.clamp(1.0, TALLEST).ceil()).unsigned_abs();
    let mut pixels = vec![255; width as usize * height as usize * 3];
    paint(scene, &mut pixels, (width, height))
        .map_err(|error| ReportError::Paint { picture: name, reason: error.to_string() })?;
    encode(&pixels, (width, height)).map_err(|source| ReportError::Encode { picture: name, source })
}

fn encode(pixels: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

type PaintError =
    plotters_backend::DrawingErrorKind<<BitMapBackend<'static> as DrawingBackend>::ErrorType>;

fn paint(scene: &Scene, pixels: &mut [u8], size: (u32, u32)) -> Result<(), PaintError> {
    let mut canvas = BitMapBackend::with_buffer(pixels, size);
    for shape in &scene.shapes {
        match shape {
            Shape::Rect { area, ink, .. } => rect(&mut canvas, *area, theme::color(*ink))?,
            Shape::Dust(dust) => grains(&mut canvas, dust)?,
            Shape::Line { from, to, ink, dashed } => {
                line(&mut canvas, *from, *to, theme::color(*ink), *dashed)?;
            }
            Shape::Text(label) => text(&mut canvas, label)?,
        }
    }
    canvas.present()
}

fn grains(canvas: &mut BitMapBackend<'_>, dust: &Dust) -> Result<(), PaintError> {
    for &(x, width) in &dust.grains {
        let area = Area { x, y: dust.y, width, height: dust.height };
        rect(canvas, area, theme::color(dust.ink))?;
    }
    Ok(())
}

fn rect(canvas: &mut BitMapBackend<'_>, area: Area, rgb: Rgb) -> Result<(), PaintError> {
    let (left, top) = (whole(area.x.round()), whole(area.y.round()));
    // plotters paints the last row and column too.
    let right = whole((area.x + area.width).round()).max(left + 1) - 1;
    let bottom = whole((area.y + area.height).round()).max(top + 1) - 1;
    canvas.draw_rect((left, top), (right, bottom), &solid(rgb), true)
}

fn line(
    canvas: &mut BitMapBackend<'_>,
    from: (f64, f64),
    to: (f64, f64),
    rgb: Rgb,
    dashed: bool,
) -> Result<(), PaintError> {
    let (x, top) = (whole(from.0.round()), whole(from.1.round()));
    let (right, bottom) = (whole(to.0.round()), whole(to.1.round()));
    if !dashed {
        return canvas.draw_line((x, top), (right, bottom), &solid(rgb));
    }
    // Dashed lines are upright, and two pixels wide to be seen from a seat at the back.
    let mut y = top;
    while y < bottom {
        let end = (y + DASH).min(bottom);
        canvas.draw_rect((x - 1, y), (x, end), &solid(rgb), true)?;
        y += 2 * DASH;
    }
    Ok(())
}

fn text(canvas: &mut BitMapBackend<'_>, label: &Label) -> Result<(), PaintError> {
    let width = font::width(&label.text, label.size);
    let start = match label.anchor {
        Anchor::Start => label.x,
        Anchor::Middle => label.x - width / 2.0,
        Anchor::End => label.x - width,
    };
    let font = font::scaled(label.size);
    let rgb = theme::color(label.ink);
    let mut x = start as f32;
    for character in label.text.chars() {
        let id = font.glyph_id(character);
        let glyph = id.with_scale_and_position(font.scale(), point(x, label.y as f32));
        x += font.h_advance(id);
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let corner = outline.px_bounds().min;
        let mut failed = Ok(());
        outline.draw(|column, row, coverage| {
            let at = (column_of(corner.x, column), column_of(corner.y, row));
            let drawn = dot(canvas, at, rgb, coverage);
            if drawn.is_err() {
                failed = drawn;
            }
        });
        failed?;
    }
    Ok(())
}

fn dot(
    canvas: &mut BitMapBackend<'_>,
    (x, y): (i32, i32),
    rgb: Rgb,
    coverage: f32,
) -> Result<(), PaintError> {
    let (width, height) = canvas.get_size();
    let inside =
        u32::try_from(x).is_ok_and(|x| x < width) && u32::try_from(y).is_ok_and(|y| y < height);
    if !inside || coverage <= 0.0 {
        return Ok(());
    }
    canvas.draw_pixel((x, y), BackendColor { alpha: f64::from(coverage.min(1.0)), rgb })
}

fn column_of(corner: f32, offset: u32) -> i32 {
    whole(f64::from(corner)) + i32::try_from(offset).unwrap_or(i32::MAX / 2)
}

fn solid((red, green, blue): Rgb) -> RGBColor {
    RGBColor(red, green, blue)
}

/// A coordinate as a whole pixel; `as` saturates, so that even absurd ones stay harmless.
fn whole(value: f64) -> i32 {
    value as i32
}
