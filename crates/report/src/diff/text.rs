//! A comparison for a terminal, and as Markdown.

use std::fmt::Write;

use super::Diff;
use super::view::{View, view};
use crate::escape_markdown as escape;

/// Longest tables in a terminal.
const ROWS: usize = 8;

/// A comparison for a terminal.
#[must_use]
pub fn diff_terminal(diff: &Diff<'_>) -> String {
    let view = view(diff.comparison);
    let mut page = format!("{}  [{}]\n  {}\n", view.headline, view.grade, view.summary);
    // Writing to a string cannot fail.
    let _ = terminal_rows(&mut page, &view);
    page
}

fn terminal_rows(page: &mut String, view: &View) -> std::fmt::Result {
    writeln!(page)?;
    let width = |at: usize| view.facts.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let (label, before) = (width(0), width(1).max("before".len()));
    writeln!(page, "  {:label$}  {:before$}  after", "", "before")?;
    for [name, one, other] in &view.facts {
        writeln!(page, "  {name:label$}  {one:before$}  {other}")?;
    }
    if !view.sites.is_empty() {
        writeln!(page, "\nWhere threads waited (share of a thread's time)")?;
        for row in view.sites.iter().take(ROWS) {
            let (one, other) = (&row.before, &row.after);
            writeln!(
                page,
                "  {:1} {:6} {one:>9} → {other:<9} {} in {}",
                row.mark, row.change, row.site, row.process
            )?;
        }
        let left = view.sites.len().saturating_sub(ROWS);
        if left > 0 {
            writeln!(page, "  ... {left} more")?;
        }
    }
    if !view.reservations.is_empty() {
        writeln!(page, "\nNote")?;
        for reservation in &view.reservations {
            writeln!(page, "  - {reservation}")?;
        }
    }
    Ok(())
}

/// A comparison as Markdown, with names as text.
#[must_use]
pub fn diff_markdown(diff: &Diff<'_>) -> String {
    let view = view(diff.comparison);
    let mut page = String::new();
    let _ = markdown_rows(&mut page, &view);
    page
}

fn markdown_rows(page: &mut String, view: &View) -> std::fmt::Result {
    writeln!(page, "# {}\n\n**{}.** {}\n", view.headline, view.grade, escape(&view.summary))?;
    for reservation in &view.reservations {
        writeln!(page, "- Note: {}", escape(reservation))?;
    }
    writeln!(page, "\n|  | before | after |\n| --- | --- | --- |")?;
    for [label, before, after] in &view.facts {
        writeln!(page, "| {label} | {} | {} |", escape(before), escape(after))?;
    }
    if !view.sites.is_empty() {
        writeln!(page, "\n## Where threads waited\n")?;
        writeln!(page, "| Change | Process | Site | Before | After |")?;
        writeln!(page, "| --- | --- | --- | ---: | ---: |")?;
        for row in &view.sites {
            let (process, site) = (escape(&row.process), escape(&row.site));
            writeln!(
                page,
                "| {} {} | {process} | {site} | {} | {} |",
                row.mark, row.change, row.before, row.after
            )?;
        }
    }
    for (title, head, rows) in
        [("Culprits", "Who | In", &view.culprits), ("Memory calls", "Who | Call", &view.memory)]
    {
        if rows.is_empty() {
            continue;
        }
        writeln!(page, "\n## {title}\n\n| {head} | Before | After |\n| --- | --- | --- | --- |")?;
        for row in rows {
            writeln!(page, "| {} |", row.clone().map(|cell| escape(&cell)).join(" | "))?;
        }
    }
    Ok(())
}
