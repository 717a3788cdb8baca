//! Colours of the pictures: the palette of Okabe and Ito, which colour-blind readers can tell apart.
//!
//! The page has the same colours in `templates/style.css`, with a dark theme beside the light one.

use super::scene::Ink;
use crate::words::Kind;

/// Red, green, blue.
pub(crate) type Rgb = (u8, u8, u8);

pub(crate) fn color(ink: Ink) -> Rgb {
    match ink {
        Ink::State(kind) => state(kind),
        Ink::Operation => (31, 36, 48),
        Ink::Memory => (86, 180, 233),
        Ink::Freeze => (255, 240, 226),
        Ink::FreezeEdge | Ink::FreezeText => (176, 74, 0),
        Ink::Lane => (243, 244, 246),
        Ink::Grid => (221, 224, 229),
        Ink::Heat(shade) => HEAT[usize::from(shade).min(HEAT.len() - 1)],
        Ink::Text => (28, 32, 40),
        Ink::FaintText => (91, 98, 110),
        Ink::OnBar => (255, 255, 255),
        Ink::KernelFrame => (240, 178, 76),
        Ink::UserFrame => (133, 198, 236),
        Ink::RootFrame => (208, 212, 219),
    }
}

/// From nobody to everybody: ever darker, so that lightness alone tells them apart.
const HEAT: [Rgb; 9] = [
    (236, 239, 242),
    (253, 227, 200),
    (253, 198, 146),
    (251, 159, 90),
    (236, 122, 44),
    (205, 88, 0),
    (163, 66, 0),
    (112, 43, 0),
    (64, 22, 0),
];

fn state(kind: Kind) -> Rgb {
    match kind {
        Kind::MmapLock => (213, 94, 0),
        Kind::OtherLock => (204, 121, 167),
        Kind::Io => (0, 114, 178),
        Kind::Memory => (230, 159, 0),
        Kind::Stopped => (85, 85, 85),
        Kind::Other => (191, 165, 133),
        Kind::Runnable => (240, 228, 66),
        Kind::OnCpu => (0, 158, 115),
        Kind::Idle => (154, 160, 166),
    }
}
