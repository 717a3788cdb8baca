//! Pictures: laid out once as scenes, then painted as SVG for the page or as PNG for a slide.

pub(crate) mod axis;
pub(crate) mod blocked;
pub(crate) mod canvas;
pub(crate) mod flame;
pub(crate) mod flame_picture;
mod folded_tree;
pub(crate) mod font;
pub(crate) mod heat;
pub(crate) mod lanes;
pub(crate) mod raster;
pub(crate) mod resident;
pub(crate) mod scene;
pub(crate) mod sites;
pub(crate) mod slide;
pub(crate) mod svg;
pub(crate) mod theme;
pub(crate) mod timeline;
pub(crate) mod timeline_events;
