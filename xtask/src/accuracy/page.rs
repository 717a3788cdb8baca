//! The page: figures first, wrong answers before right ones.

use std::fmt::Write as _;

use super::captures::Judged;
use super::figures::{Confusion, HowFarOff, NO_FREEZE, Tally, by_events, by_grade, how_far_off};
use super::judge::{Judgement, Row};
use super::table;

/// What stands before the table of all captures, and how to read it.
const HOW_TO_READ: &str = include_str!("how_to_read.md");

/// All of it, as Markdown.
pub fn page(judged: &[Judged]) -> String {
    let sections = [
        "# Accuracy\n\nWhat coldcase says of every stored capture, against what truly happened. `cargo xtask accuracy` writes this page.\n"
            .to_owned(),
        headline(judged),
        listed(judged),
        grades(judged),
        events(judged),
        figures(judged),
        confusion(judged),
        HOW_TO_READ.to_owned(),
        everything(judged),
    ];
    sections.join("\n")
}

fn headline(judged: &[Judged]) -> String {
    let all = Tally::of(judged.iter());
    let sets = by_events(judged).into_iter().filter(|(_, tally)| tally.captures > 0).count();
    let negatives = Tally::of(judged.iter().filter(|one| is_negative(one)));
    let rows = [
        ("captures", all.captures),
        ("sets of events", sets),
        ("freezes of known truth, each counted in every capture of it", all.freezes),
        ("wrong culprits", all.wrong_culprits),
        ("wrong causes", all.wrong_causes),
        ("the right culprit in a wrong call, or with a wrong size", all.wrong_calls),
        ("freezes missed: \"no freeze\" where something froze", all.missed),
        ("freezes of which the capture cannot tell", all.cannot_tell),
        ("freezes told right", all.right),
        ("freezes rightly not told: under 50 ms, or nobody stood still", all.rightly_silent),
        ("captures in which nothing froze", negatives.captures),
        ("freezes invented there", negatives.invented),
        ("freezes invented in other captures", all.invented - negatives.invented),
        ("freezes told of other processes, whose truth nobody measured", all.unmeasured),
    ];
    let mut text = "| | |\n|---|---|\n".to_owned();
    for (what, count) in rows {
        let _ = writeln!(text, "| {what} | {count} |");
    }
    text
}

fn is_negative(judged: &Judged) -> bool {
    judged.rows.iter().all(|row| row.truth.is_none())
}

fn listed(judged: &[Judged]) -> String {
    let bad = |row: &Row| matches!(row.judgement, Judgement::Wrong(_) | Judgement::Invented);
    let missed = |row: &Row| row.judgement == Judgement::Missed;
    let other = |row: &Row| row.judgement == Judgement::Unmeasured;
    let mut text = list("## Wrong answers", "None.", judged, bad);
    text += &list("\n## Freezes missed", "None.", judged, missed);
    text += &list("\n## Freezes of other processes", "None.", judged, other);
    text
}

/// One line for each row that is wanted.
fn list(title: &str, none: &str, judged: &[Judged], wanted: fn(&Row) -> bool) -> String {
    let mut text = format!("{title}\n\n");
    let rows = judged.iter().flat_map(|one| one.rows.iter().map(move |row| (one, row)));
    for (one, row) in rows.filter(|(_, row)| wanted(row)) {
        let truth = row.truth.as_ref().map_or_else(|| NO_FREEZE.to_owned(), table::truth);
        let told = row.told.as_ref().map_or_else(
            || NO_FREEZE.to_owned(),
            |told| format!("{} ({}, of {})", table::told(told), told.grade.word(), told.comm),
        );
        let judgement = table::judgement(&row.judgement);
        let name = format!("`{}`, {}", one.scenario, one.events);
        let _ = writeln!(text, "- {name}: {judgement}. True: {truth}. Told: {told}.");
    }
    if text.ends_with("\n\n") {
        let _ = writeln!(text, "{none}");
    }
    text
}

fn grades(judged: &[Judged]) -> String {
    let grades = by_grade(judged);
    let sure = grades.iter().filter(|(grade, _)| ["proven", "strong"].contains(grade));
    let (right, of) = sure.fold((0, 0), |(right, of), (_, figures)| {
        (right + figures.right, of + figures.told - figures.unmeasured)
    });
    let mut text = format!(
        "## By grade\n\nWhat is proven or strong should be right every time. Of {of} such verdicts whose truth is known, {right} are.\n\n\
        | grade | freezes told | right | cannot tell | wrong or invented | not measured |\n|---|---|---|---|---|---|\n"
    );
    for (grade, figures) in grades {
        let _ = writeln!(
            text,
            "| {grade} | {} | {} | {} | {} | {} |",
            figures.told, figures.right, figures.cannot_tell, figures.wrong, figures.unmeasured
        );
    }
    text
}

fn events(judged: &[Judged]) -> String {
    let mut text = "## By set of events\n\n\
        | events | captures | freezes | right | rightly not told | cannot tell | missed | wrong | invented |\n\
        |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (events, tally) in by_events(judged) {
        let counts = [
            tally.captures,
            tally.freezes,
            tally.right,
            tally.rightly_silent,
            tally.cannot_tell,
            tally.missed,
            tally.wrong,
            tally.invented,
        ];
        let _ =
            writeln!(text, "| {events} | {} |", counts.map(|count| count.to_string()).join(" | "));
    }
    text
}

fn figures(judged: &[Judged]) -> String {
    let mut text = "## How far off the figures are\n\n\
        How many threads stood still, how long they waited in total, and how much of that is charged to the true culprit, of \
        freezes that were told and that the capture holds whole.\n\n\
        | events | freezes | threads as in truth | waiting off by, median | largest | charged to the culprit in | off by, median \
        | largest |\n\
        |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let percent = |error: Option<f64>| error.map_or(String::new(), |error| format!("{error:.1} %"));
    for (events, HowFarOff { freezes, same_threads, waiting, blame }) in how_far_off(judged) {
        let _ = writeln!(
            text,
            "| {events} | {freezes} | {same_threads} | {} | {} | {} | {} | {} |",
            percent(waiting.median),
            percent(waiting.largest),
            blame.count,
            percent(blame.median),
            percent(blame.largest),
        );
    }
    text.push_str(
        "\nTrue waiting ends where the culprit lets go. Those who waited then take the lock one after the other, which is told as \
        waiting, and charged to them: in a freeze of 93 ms, 1.9 ms each, and 2.2 %.\n",
    );
    text
}

fn confusion(judged: &[Judged]) -> String {
    let Confusion { told, rows, allowed } = Confusion::of(judged);
    let mut text = "## What is taken for what\n\n\
        Rows: the true cause. Columns: what was told, over all captures.\n\n"
        .to_owned();
    let _ = writeln!(text, "| true \\ told | {} |", told.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(told.len()));
    for (truth, counts) in rows {
        let cells: Vec<String> = counts.iter().map(|count| cell(*count)).collect();
        let _ = writeln!(text, "| {truth} | {} |", cells.join(" | "));
    }
    for (truth, told, count) in allowed {
        let _ = writeln!(
            text,
            "\n{truth} told as {told} ({count} times) is right: `expected.json` allows it, because both are true."
        );
    }
    text
}

fn cell(count: usize) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

fn everything(judged: &[Judged]) -> String {
    let mut text = "| scenario | events | true | told | | grade | start, ms | end, ms | threads | waiting, % | blame, % |\n\
        |---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for one in judged {
        for row in &one.rows {
            let truth = row.truth.as_ref().map_or_else(|| NO_FREEZE.to_owned(), table::truth);
            let silent = match row.judgement {
                Judgement::CannotTell => "",
                _ => NO_FREEZE,
            };
            let told = row.told.as_ref().map_or_else(|| silent.to_owned(), table::told);
            let grade = row.told.as_ref().map_or("", |told| told.grade.word());
            let (start, end) = table::errors(row);
            let _ = writeln!(
                text,
                "| `{}` | {} | {truth} | {told} | {} | {grade} | {start} | {end} | {} | {} | {} |",
                one.scenario,
                one.events,
                table::judgement(&row.judgement),
                table::threads(row),
                table::waiting_error(row),
                table::blame_error(row)
            );
        }
    }
    text
}
