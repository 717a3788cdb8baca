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
const DASH: f64 = 6.0;

/// The picture's bytes, with `scale` pixels for each unit of the scene; `name` is for the message if that fails.
pub(crate) fn png(scene: &Scene, scale: f64, name: &'static str) -> Result<Vec<u8>, ReportError> {
    let width = whole(scene.width.clamp(1.0, TALLEST) * scale).unsigned_abs().max(1);
    let height = whole((scene.height.clamp(1.0, TALLEST) * scale).ceil()).unsigned_abs().max(1);
    let mut pixels = vec![255; width as usize * height as usize * 3];
    paint(scene, scale, &mut pixels, (width, height))
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

fn paint(scene: &Scene, scale: f64, pixels: &mut [u8], size: (u32, u32)) -> Result<(), PaintError> {
    let mut canvas = Canvas { pixels: BitMapBackend::with_buffer(pixels, size), scale };
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
    canvas.pixels.present()
}

/// Pixels, and how many of them a unit is.
struct Canvas<'a> {
    pixels: BitMapBackend<'a>,
    scale: f64,
}

impl Canvas<'_> {
    fn pixel(&self, at: f64) -> i32 {
        whole((at * self.scale).round())
    }
}

fn grains(canvas: &mut Canvas<'_>, dust: &Dust) -> Result<(), PaintError> {
    for &(x, width) in &dust.grains {
        let area = Area { x, y: dust.y, width, height: dust.height };
        rect(canvas, area, theme::color(dust.ink))?;
    }
    Ok(())
}

fn rect(canvas: &mut Canvas<'_>, area: Area, rgb: Rgb) -> Result<(), PaintError> {
    let (left, top) = (canvas.pixel(area.x), canvas.pixel(area.y));
    // plotters leaves the last row and column of a filled rectangle out (fill_rect_fast of plotters-bitmap 0.3).
    let right = canvas.pixel(area.x + area.width).max(left + 1);
    let bottom = canvas.pixel(area.y + area.height).max(top + 1);
    canvas.pixels.draw_rect((left, top), (right, bottom), &solid(rgb), true)
}

fn line(
    canvas: &mut Canvas<'_>,
    from: (f64, f64),
    to: (f64, f64),
    rgb: Rgb,
    dashed: bool,
) -> Result<(), PaintError> {
    if !dashed {
        let (x, y) = (canvas.pixel(from.0), canvas.pixel(from.1));
        let end = (canvas.pixel(to.0), canvas.pixel(to.1));
        return canvas.pixels.draw_line((x, y), end, &solid(rgb));
    }
    // Dashed lines are upright, and two units wide to be seen from a seat at the back.
    let mut y = from.1;
    while y < to.1 {
        let height = DASH.min(to.1 - y);
        rect(canvas, Area { x: from.0 - 1.0, y, width: 2.0, height }, rgb)?;
        y += 2.0 * DASH;
    }
    Ok(())
}

fn text(canvas: &mut Canvas<'_>, label: &Label) -> Result<(), PaintError> {
    let (size, x, y) = (label.size * canvas.scale, label.x * canvas.scale, label.y * canvas.scale);
    let width = font::width(&label.text, size);
    let start = match label.anchor {
        Anchor::Start => x,
        Anchor::Middle => x - width / 2.0,
        Anchor::End => x - width,
    };
    let font = font::scaled(size);
    let rgb = theme::color(label.ink);
    let mut x = start as f32;
    for character in label.text.chars() {
        let id = font.glyph_id(character);
        let glyph = id.with_scale_and_position(font.scale(), point(x, y as f32));
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
    canvas: &mut Canvas<'_>,
    (x, y): (i32, i32),
    rgb: Rgb,
    coverage: f32,
) -> Result<(), PaintError> {
    let (width, height) = canvas.pixels.get_size();
    let inside =
        u32::try_from(x).is_ok_and(|x| x < width) && u32::try_from(y).is_ok_and(|y| y < height);
    if !inside || coverage <= 0.0 {
        return Ok(());
    }
    canvas.pixels.draw_pixel((x, y), BackendColor { alpha: f64::from(coverage.min(1.0)), rgb })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::scene::Ink;

    fn painted(scale: u32) -> Vec<u8> {
        let mut scene = Scene::new(6.0);
        scene.height = 4.0;
        scene.rect(Area { x: 1.0, y: 1.0, width: 2.0, height: 1.0 }, Ink::Memory);
        scene.rect(Area { x: 3.0, y: 1.0, width: 0.1, height: 3.0 }, Ink::OnBar);
        let (width, height) = (6 * scale, 4 * scale);
        let mut pixels = vec![0; (width * height * 3) as usize];
        paint(&scene, f64::from(scale), &mut pixels, (width, height)).unwrap();
        pixels
    }

    #[test]
    fn rectangles_fill_their_pixels_and_nothing_vanishes() {
        let pixels = painted(1);
        let at = |x: usize, y: usize| &pixels[(y * 6 + x) * 3..][..3];
        assert_eq!(at(1, 1), [86, 180, 233]);
        assert_eq!(at(2, 1), [86, 180, 233], "up to its neighbour");
        assert_eq!(at(3, 1), [255, 255, 255], "narrower than a pixel is one pixel");
        assert_eq!(at(3, 3), [255, 255, 255]);
        assert_eq!((at(0, 1), at(4, 1)), (&[0; 3][..], &[0; 3][..]));
        let white = |pixels: &[u8]| pixels.chunks(3).filter(|pixel| *pixel == [255; 3]).count();
        assert_eq!((white(&painted(1)), white(&painted(2))), (3, 6), "a line of three units");
    }
}
