//! The key figures on the first screen.

use coldcase_analyze::details::Figure;
use coldcase_analyze::findings::{Cause, Contention, Culprit, Findings, Window};
use coldcase_ingest::capture::Nanos;

use super::frame_row;
use crate::html::anchor;
use crate::{names, units, words};

/// One figure with its label and a line below it.
pub(crate) struct Tile {
    pub label: &'static str,
    pub value: String,
    pub note: String,
    /// Where on the page the events stand that it comes from.
    pub proof: Option<&'static str>,
}

const UNKNOWN: &str = "unknown";

pub(super) fn tiles(findings: &Findings) -> Vec<Tile> {
    let mut tiles = findings.worst().map_or_else(|| quiet(findings), freeze);
    for tile in &mut tiles {
        tile.proof = proof(findings, tile.label);
    }
    tiles
}

/// The place of the events behind a figure, if they are on the page.
fn proof(findings: &Findings, label: &str) -> Option<&'static str> {
    let has = |figure| findings.details.proofs.iter().any(|proof| proof.figure == figure);
    let figure = match label {
        FROZEN => Figure::Freeze,
        THREADS | PROCESSES => return (!findings.details.waits.is_empty()).then_some("waits"),
        HELD if has(Figure::Hold) => Figure::Hold,
        HELD => Figure::Release,
        CULPRIT | SUSPECT | SIZE | TOOK => Figure::Call,
        _ => return None,
    };
    has(figure).then(|| anchor(figure))
}

const FROZEN: &str = "Frozen for";
const THREADS: &str = "Threads blocked";
const PROCESSES: &str = "Processes blocked";
const CULPRIT: &str = "Culprit";
const SUSPECT: &str = "Suspect";
const SIZE: &str = "Size of the call";
const HELD: &str = "Lock held for";
const TOOK: &str = "The call took";

fn freeze(window: &Window) -> Vec<Tile> {
    let freeze = &window.freeze;
    let frozen = freeze.span.map_or_else(
        || unknown(FROZEN, "a profile without times"),
        |span| {
            let open = words::at_least(freeze);
            Tile {
                label: FROZEN,
                value: units::duration(span.duration()),
                note: if open.is_empty() { String::new() } else { open.trim().to_owned() },
                proof: None,
            }
        },
    );
    let threads = Tile {
        label: if words::is_family(freeze) { PROCESSES } else { THREADS },
        value: units::count(u64::from(freeze.threads_blocked)),
        note: match freeze.blocked {
            Nanos::ZERO => "at the moment of the dump".to_owned(),
            blocked if freeze.strangers => {
                let processes = u64::from(freeze.processes);
                let processes = units::counted(processes, "process", "processes");
                format!("of {processes}, {} in total", units::duration(blocked))
            }
            blocked => format!("{} in total", units::duration(blocked)),
        },
        proof: None,
    };
    let mut tiles = vec![frozen, threads];
    match &window.culprit {
        Some(culprit) => {
            tiles.push(who(window, culprit));
            let why = words::why_no_size(culprit).map(|why| unknown(SIZE, why));
            tiles.extend(culprit.bytes.map(size).or(why));
            tiles.extend(held(culprit));
        }
        None => tiles.push(nobody(window)),
    }
    tiles
}

fn who(window: &Window, culprit: &Culprit) -> Tile {
    let tid = culprit.thread.tid.map(|tid| format!("tid {tid}"));
    let call = culprit.operation.map(|call| words::deed_short(call, &culprit.flags));
    let own = culprit.thread.pid == window.freeze.pid || culprit.thread.pid == culprit.thread.tid;
    let pid = culprit.thread.pid.filter(|_| !own).map(|pid| format!("pid {pid}"));
    Tile {
        label: if words::is_sure(window.grade) { CULPRIT } else { SUSPECT },
        value: names::name(&culprit.thread.comm),
        note: tid.into_iter().chain(pid).chain(call).collect::<Vec<_>>().join(", "),
        proof: None,
    }
}

/// Without a culprit: the cause, if it is one that needs nobody.
fn nobody(window: &Window) -> Tile {
    match window.cause {
        Some(cause) if !cause.is_lock() && cause != Cause::Unknown => Tile {
            label: "Cause",
            value: words::cause_of(window).to_owned(),
            note: match cause {
                Cause::CpuStarvation | Cause::Stopped | Cause::Network => String::new(),
                _ => "no single thread is to blame".to_owned(),
            },
            proof: None,
        },
        _ => unknown(CULPRIT, "not in this capture"),
    }
}

fn size(bytes: u64) -> Tile {
    Tile { label: SIZE, value: units::size(bytes), note: units::binary_size(bytes), proof: None }
}

/// How long it held the lock, or else how long its call took.
fn held(culprit: &Culprit) -> Option<Tile> {
    let took = culprit.duration.map(units::duration);
    match culprit.held {
        Some(held) => Some(Tile {
            label: HELD,
            value: units::duration(held),
            note: took.map_or_else(String::new, |took| format!("of a call of {took}")),
            proof: None,
        }),
        None => {
            took.map(|took| Tile { label: TOOK, value: took, note: String::new(), proof: None })
        }
    }
}

fn quiet(findings: &Findings) -> Vec<Tile> {
    let covered = findings.capture.span.map_or_else(
        || unknown("Capture covers", "a profile without times"),
        |span| Tile {
            label: "Capture covers",
            value: units::duration(span.duration()),
            note: String::new(),
            proof: None,
        },
    );
    if let Some(possible) = &findings.verdict.possible {
        let processes = units::counted(possible.processes, "process", "processes");
        let name = names::name(&possible.comm);
        let note = format!("{processes} of {name}; their functions have no names");
        return vec![tile("Possible lock wait", units::duration(possible.longest), note), covered];
    }
    if let Some(contention) = &findings.contention {
        return chronic(contention).into_iter().chain([covered]).collect();
    }
    let waits = findings.wait_sites.iter().filter(|site| words::is_harm(findings, site));
    let sum: Nanos = waits.clone().map(|site| site.blocked).sum();
    let blocked = Tile {
        label: "Blocked in total",
        value: units::duration(sum),
        note: "over all threads; excl. idle and unclassified".to_owned(),
        proof: None,
    };
    let longest = waits
        .filter_map(|site| site.longest.map(|longest| (longest, site)))
        .max_by_key(|(longest, _)| *longest);
    let longest = longest.map_or_else(
        || {
            tile(
                "Longest wait",
                "none".to_owned(),
                "at anything that a freeze is made of".to_owned(),
            )
        },
        |(longest, site)| Tile {
            label: "Longest wait",
            value: units::duration(longest),
            note: names::function(&site.site),
            proof: None,
        },
    );
    vec![covered, longest, blocked]
}

/// Many short waits for one lock.
fn chronic(contention: &Contention) -> Vec<Tile> {
    let threads = units::counted(contention.threads, "thread", "threads");
    let waits = units::counted(contention.waits, "wait", "waits");
    let sum = units::duration(contention.blocked);
    let site = names::function(&contention.site);
    let mut tiles = vec![
        tile("Waited in total", sum, format!("{threads}, {waits}")),
        tile("Longest wait", units::duration(contention.longest), site),
    ];
    if let (Some(function), Some(place)) = (words::function(contention), &contention.place) {
        tiles.push(tile("Where", function, frame_row(place).place));
    }
    tiles
}

fn tile(label: &'static str, value: String, note: String) -> Tile {
    Tile { label, value, note, proof: None }
}

fn unknown(label: &'static str, note: &str) -> Tile {
    Tile { label, value: UNKNOWN.to_owned(), note: note.to_owned(), proof: None }
}
