//! The pictures are PNGs of the promised size, with something on them.

mod sample;

use std::collections::BTreeSet;

use coldcase_analyze::findings::Findings;
use coldcase_report::pictures;

struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

fn decoded(bytes: &[u8]) -> Picture {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a whole PNG");
    Picture { width: info.width, height: info.height, pixels }
}

fn colors(picture: &Picture) -> BTreeSet<[u8; 3]> {
    picture.pixels.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn names(findings: &Findings) -> Vec<&'static str> {
    pictures(findings, 1.0).expect("pictures").into_iter().map(|(name, _)| name).collect()
}

#[test]
fn each_picture_is_wide_enough_for_a_slide_and_not_blank() {
    for (name, bytes) in pictures(&sample::incident::findings(), 1.0).unwrap() {
        let picture = decoded(&bytes);
        assert_eq!(picture.width, 1600, "{name}");
        assert!((300..2_000).contains(&picture.height), "{name}: {}", picture.height);
        // Letters are smoothed, so that a picture with text has many shades.
        assert!(colors(&picture).len() > 50, "{name}");
    }
}

#[test]
fn a_scale_makes_all_of_a_picture_larger() {
    let findings = sample::incident::findings();
    let sizes = |scale: f64| -> Vec<(u32, u32)> {
        let pictures = pictures(&findings, scale).unwrap().into_iter();
        pictures.map(|(_, bytes)| decoded(&bytes)).map(|it| (it.width, it.height)).collect()
    };
    for ((width, height), (wide, tall)) in sizes(0.5).into_iter().zip(sizes(1.0)) {
        assert_eq!((width, wide), (800, 1600));
        assert!(tall.abs_diff(2 * height) <= 2, "{height} and {tall}");
    }
}

#[test]
fn waiting_for_mmap_lock_is_seen_in_its_colour() {
    let pictures = pictures(&sample::incident::findings(), 1.0).unwrap();
    for name in ["timeline.png", "blocked.png", "wait_sites.png"] {
        let (_, bytes) = pictures.iter().find(|picture| picture.0 == name).unwrap();
        let picture = decoded(bytes);
        let orange = picture.pixels.chunks_exact(3).filter(|pixel| *pixel == [213, 94, 0]).count();
        assert!(orange > 20_000, "{name}: {orange}");
    }
}

#[test]
fn what_the_capture_has_no_data_for_is_left_out() {
    assert_eq!(
        names(&sample::incident::findings()),
        ["timeline.png", "blocked.png", "heatmap.png", "wait_sites.png", "flame.png"]
    );
    assert_eq!(names(&sample::folded::findings()), ["wait_sites.png", "flame.png"]);
    assert_eq!(names(&sample::quiet::findings()), ["wait_sites.png"]);
}

#[test]
fn hostile_names_do_not_blow_a_picture_up() {
    for (name, bytes) in pictures(&sample::hostile::findings(), 1.0).unwrap() {
        let picture = decoded(&bytes);
        assert!(picture.width == 1600 && picture.height < 2_000, "{name}: {}", picture.height);
    }
}
