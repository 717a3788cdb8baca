//! `docs/accuracy.md`: what coldcase says of every stored capture, against what truly happened.

mod captures;
mod figures;
mod judge;
mod page;
mod table;
mod told;
mod truth;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

const PAGE: &str = "docs/accuracy.md";

/// Writes the page.
pub fn write(root: &Path) -> Result<String> {
    let page = page(root)?;
    fs::write(root.join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))?;
    Ok(format!("{PAGE} is written"))
}

/// Fails if the page is not what `write` would make of it.
pub fn check(root: &Path) -> Result<String> {
    let page = page(root)?;
    let stored =
        fs::read_to_string(root.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let lines = || stored.lines().map(Some).chain([None]);
    let new = page.lines().map(Some).chain([None]);
    match lines().zip(new).enumerate().find(|(_, (stored, new))| stored != new) {
        None => Ok(format!("{PAGE} is up to date")),
        Some((index, (stored, new))) => bail!(
            "{PAGE} is out of date: run `cargo xtask accuracy` and look at what changed. Line {} is\n  {}\nand would be\n  {}",
            index + 1,
            stored.unwrap_or("missing"),
            new.unwrap_or("missing")
        ),
    }
}

fn page(root: &Path) -> Result<String> {
    let captures = captures::all(&root.join("fixtures"))?;
    let rows = captures::judged(&root.join("fixtures"), &captures)?;
    Ok(page::page(&rows))
}
