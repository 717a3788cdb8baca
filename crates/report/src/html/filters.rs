//! Figures and classes as the templates write them.

use askama::{Result, Values};
use coldcase_ingest::capture::Nanos;

use crate::chart::flame::{Change, Side};
use crate::chart::svg::kind_class;
use crate::units;
use crate::words::Kind;

/// A percentage for a style, with two decimals.
#[askama::filter_fn]
pub(crate) fn figure(percent: &f64, _: &dyn Values) -> Result<String> {
    Ok(format!("{percent:.2}"))
}

/// A part of the whole as a percentage for a style, exact enough to zoom in far.
#[askama::filter_fn]
pub(crate) fn parts(part: &f64, _: &dyn Values) -> Result<String> {
    Ok(format!("{:.5}", part * 100.0))
}

/// The class of a state's colour.
#[askama::filter_fn]
pub(crate) fn class(kind: &Kind, _: &dyn Values) -> Result<&'static str> {
    Ok(kind_class(*kind))
}

/// The class of a frame's colour.
#[askama::filter_fn]
pub(crate) fn side(side: &Side, _: &dyn Values) -> Result<&'static str> {
    Ok(match side {
        Side::Root => "r",
        Side::User => "u",
        Side::Kernel => "k",
    })
}

/// A duration.
#[askama::filter_fn]
pub(crate) fn time(time: &Nanos, _: &dyn Values) -> Result<String> {
    Ok(units::duration(*time))
}

/// A part of a duration.
#[askama::filter_fn]
pub(crate) fn share(part: &Nanos, _: &dyn Values, whole: &Nanos) -> Result<String> {
    Ok(units::share(*part, *whole))
}

/// A text that begins a line.
#[askama::filter_fn]
pub(crate) fn capital(text: &str, _: &dyn Values) -> Result<String> {
    let mut rest = text.chars();
    Ok(rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect()))
}

/// The class of how a frame differs from before, with a space before it.
#[askama::filter_fn]
pub(crate) fn change(change: &Option<Change>, _: &dyn Values) -> Result<&'static str> {
    Ok(match change.map(|change| change.weight) {
        Some(0.1..) => " g3",
        Some(0.02..) => " g2",
        Some(0.002..) => " g1",
        Some(weight) if weight <= -0.02 => " s2",
        Some(weight) if weight <= -0.002 => " s1",
        Some(_) => " g0",
        None => "",
    })
}

/// How a frame differs from another part or capture, after its own figures.
#[askama::filter_fn]
pub(crate) fn changed(change: &Option<Change>, _: &dyn Values, other: &str) -> Result<String> {
    Ok(change.map_or_else(String::new, |change| {
        format!("; {:.2} threads on average, {:.2} {other}", change.now, change.before)
    }))
}
