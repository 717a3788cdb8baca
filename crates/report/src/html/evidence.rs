//! What a reviewer checks: the events behind the figures, and the commands that show them and make the report again.

use std::collections::BTreeSet;

use coldcase_analyze::details::{Figure, Proof};
use coldcase_analyze::findings::Findings;
use coldcase_ingest::capture::Nanos;

use super::{HtmlContext, Input};
use crate::{names, units, words};

/// Most threads whose events the command asks for.
const THREADS: usize = 8;

/// The section's content.
pub(super) struct Evidence {
    pub events: Vec<EventRow>,
    /// Shows these events in the capture; none without times.
    pub look: Option<String>,
    /// Makes the report again.
    pub again: String,
    pub inputs: Vec<InputRow>,
}

/// An event behind a figure.
pub(super) struct EventRow {
    /// Where a figure's link leads, at its first event.
    pub anchor: Option<&'static str>,
    pub figure: &'static str,
    pub event: String,
    pub time: String,
    pub who: String,
    pub tells: String,
}

/// A file that was read.
pub(super) struct InputRow {
    pub name: String,
    pub bytes: String,
    pub sha256: String,
}

pub(super) fn evidence(findings: &Findings, context: &HtmlContext) -> Evidence {
    let proofs = &findings.details.proofs;
    Evidence {
        events: proofs
            .iter()
            .enumerate()
            .map(|(at, proof)| row(findings, proofs, at, proof))
            .collect(),
        look: look(findings, proofs, context),
        again: context.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        inputs: context.inputs.iter().map(input).collect(),
    }
}

fn row(findings: &Findings, proofs: &[Proof], at: usize, proof: &Proof) -> EventRow {
    let first = proofs[..at].iter().all(|before| before.figure != proof.figure);
    EventRow {
        anchor: first.then(|| anchor(proof.figure)),
        figure: words::figure(proof.figure),
        event: names::function(&proof.event),
        // Nanoseconds, as `perf script --ns` writes them.
        time: format!("{}.{:09}", proof.time.0 / 1_000_000_000, proof.time.0 % 1_000_000_000),
        who: words::thread_in_table(
            &proof.thread,
            findings.worst().and_then(|window| window.freeze.pid),
        ),
        tells: names::text(&proof.tells),
    }
}

/// Where the events of a figure stand on the page.
pub(crate) fn anchor(figure: Figure) -> &'static str {
    match figure {
        Figure::Freeze => "events-freeze",
        Figure::LongestWait => "events-wait",
        Figure::Call => "events-call",
        Figure::Hold => "events-hold",
        Figure::Release => "events-release",
    }
}

/// `perf script` on the time and the threads of these events.
fn look(findings: &Findings, proofs: &[Proof], context: &HtmlContext) -> Option<String> {
    // perf reads its own files only.
    if !findings.capture.format.starts_with("perf.data") {
        return None;
    }
    // A microsecond more on each side: perf rounds what it is given.
    const ROUNDING: Nanos = Nanos(1_000);
    let first = proofs.iter().map(|proof| proof.time).min()?.minus(ROUNDING);
    let last = proofs.iter().map(|proof| proof.time).max()?.plus(ROUNDING);
    let tids: BTreeSet<i32> = proofs.iter().filter_map(|proof| proof.thread.tid).collect();
    let tids: Vec<String> = tids.iter().take(THREADS).map(ToString::to_string).collect();
    let name = &context.inputs.first().filter(|input| input.bytes.is_some())?.name;
    let (unpack, name) = match name.strip_suffix(".zst") {
        Some(plain) => (format!("zstd -dk {} && ", quoted(name)), plain),
        None => (String::new(), name.as_str()),
    };
    let (name, tids) = (quoted(name), tids.join(","));
    let fields = "comm,tid,time,event,trace,ip,sym";
    Some(format!(
        "{unpack}perf script -i {name} --ns --time {first},{last} --tid {tids} -F {fields}"
    ))
}

fn input(input: &Input) -> InputRow {
    InputRow {
        name: names::function(&input.name),
        bytes: input.bytes.map_or_else(|| "–".to_owned(), units::count),
        sha256: match input.sha256.as_deref().map(names::function) {
            None => "standard input".to_owned(),
            Some(hash) if input.bytes == Some(input.hashed) => hash,
            Some(hash) => format!("{hash} (its first {} bytes)", units::count(input.hashed)),
        },
    }
}

/// An argument as a shell takes it.
fn quoted(word: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "_-./:=+,@%".contains(character);
    let word = names::function(word);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_names_for_nothing_else() {
        assert_eq!(quoted("/tmp/a-b_c.data"), "/tmp/a-b_c.data");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("a';rm $x"), "'a'\\'';rm $x'");
        assert_eq!(quoted(""), "''");
    }
}
