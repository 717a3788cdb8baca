//! A comparison as finished text: what all formats show.

use coldcase_analyze::compare::{
    Change, Comparison, CulpritChange, CulpritSum, Incident, MemoryChange, MemorySum, SideFreeze,
    SiteChange, SiteSum,
};
use coldcase_ingest::capture::Nanos;

use crate::{names, units, words};

/// Longest tables.
const ROWS: usize = 40;
/// What other processes than those that froze did counts from here on: a shell's `sleep` and `ls` are in every recording.
const LONG: Nanos = Nanos(50_000_000);
const LARGE: u64 = 10_000_000;

/// What is shown.
pub(super) struct View {
    pub headline: String,
    pub summary: String,
    pub grade: String,
    pub class: &'static str,
    pub reservations: Vec<String>,
    /// Label, before, after.
    pub facts: Vec<[String; 3]>,
    pub sites: Vec<SiteRow>,
    pub culprits: Vec<[String; 4]>,
    pub memory: Vec<[String; 4]>,
}

/// A site before and after.
pub(super) struct SiteRow {
    pub mark: &'static str,
    pub change: &'static str,
    pub process: String,
    pub site: String,
    pub before: String,
    pub after: String,
    pub longest_before: String,
    pub longest_after: String,
}

pub(super) fn view(comparison: &Comparison) -> View {
    let changed = comparison.sites.iter().filter(|row| row.word() != "same");
    let changed = changed
        .filter(|row| matters(comparison, &row.process, row.before.blocked.max(row.after.blocked)));
    let calls = comparison.memory.iter().filter(|row| {
        let largest = row.before.largest.max(row.after.largest);
        let longest = row.before.longest.max(row.after.longest);
        largest >= Some(LARGE) || longest >= Some(LONG) || is_frozen(comparison, &row.comm)
    });
    View {
        headline: headline(comparison),
        summary: summary(comparison),
        grade: format!("{} for this comparison", words::grade_label(comparison.grade)),
        class: comparison.grade.word(),
        reservations: comparison.reservations.iter().map(|text| names::text(text)).collect(),
        facts: facts(comparison),
        sites: changed.take(ROWS).map(site_row).collect(),
        culprits: comparison.culprits.iter().map(culprit_row).collect(),
        memory: calls.take(ROWS / 2).map(memory_row).collect(),
    }
}

fn is_frozen(comparison: &Comparison, name: &str) -> bool {
    let sides = [&comparison.before, &comparison.after];
    sides
        .into_iter()
        .filter_map(|side| side.freeze.as_ref())
        .any(|freeze| freeze.process == name || freeze.threads.iter().any(|thread| thread == name))
}

fn matters(comparison: &Comparison, name: &str, blocked: Nanos) -> bool {
    blocked >= LONG || is_frozen(comparison, name)
}

fn headline(comparison: &Comparison) -> String {
    match comparison.change {
        Change::None => "No freeze before, none after",
        Change::Gone => "The freeze is gone",
        Change::Shorter => "The freeze is shorter",
        Change::Same => "The same freeze",
        Change::Longer => "The freeze is longer",
        Change::Moved if comparison.worse => "Another freeze, and a longer one",
        Change::Moved => "Another freeze in its place",
        Change::New => "A freeze that was not there before",
        Change::CannotTell => "These captures cannot tell",
    }
    .to_owned()
}

/// The sentence on top.
pub(super) fn summary(comparison: &Comparison) -> String {
    let (before, after) = (comparison.before.freeze.as_ref(), comparison.after.freeze.as_ref());
    let lengths = || {
        let length = |freeze: Option<&SideFreeze>| freeze.map_or_else(String::new, length);
        format!("worst freeze {} → {}", length(before), length(after))
    };
    let what = |freeze: Option<&SideFreeze>| freeze.map_or_else(String::new, what);
    match comparison.change {
        Change::None => "Neither capture shows a freeze.".to_owned(),
        Change::Gone => {
            let rest = comparison.after.longest_of_same.map_or_else(
                || "nothing waits for that any more".to_owned(),
                |longest| format!("the longest wait for that is now {}", units::duration(longest)),
            );
            let was = before.map_or_else(String::new, length);
            format!("The freeze of {} is gone: it took {was}, {rest}.", what(before))
        }
        Change::Shorter | Change::Longer | Change::Same => {
            let how = match comparison.change {
                Change::Shorter => "shorter",
                Change::Longer => "longer",
                _ => "the same",
            };
            let alike = match comparison.incident {
                Incident::Alike => ", as far as both captures tell",
                _ => "",
            };
            format!("The freeze of {} is {how}{alike}: {}.", what(before), lengths())
        }
        Change::Moved => format!(
            "The freeze of {} is not there after, but one of {}: {}.",
            what(before),
            what(after),
            lengths()
        ),
        Change::New => {
            format!(
                "A freeze came that the capture before does not have: {}, {}.",
                what(after),
                after.map_or_else(String::new, length)
            )
        }
        Change::CannotTell => {
            let why = comparison.reservations.first();
            let why = why.map_or("one of the freezes reaches beyond its recording", |why| &**why);
            format!("Whether it is better or worse cannot be told: {}.", names::text(why))
        }
    }
}

/// `coldcase-lab at mmap_lock, held in munmap`.
fn what(freeze: &SideFreeze) -> String {
    let cause = freeze.cause.map_or("an unknown cause", words::cause_label);
    let call = freeze
        .operation
        .map_or_else(String::new, |operation| format!(", held in {}", words::operation(operation)));
    format!("{} ({cause}{call})", names::name(&freeze.process))
}

fn length(freeze: &SideFreeze) -> String {
    let least = if freeze.open { "at least " } else { "" };
    match freeze.length {
        Some(length) => format!("{least}{}", units::duration(length)),
        None => format!("{} in total over threads", units::duration(freeze.blocked)),
    }
}

fn facts(comparison: &Comparison) -> Vec<[String; 3]> {
    let sides = [&comparison.before, &comparison.after];
    let of = |label: &str, text: &dyn Fn(usize) -> String| [label.to_owned(), text(0), text(1)];
    let freeze = |at: usize, text: &dyn Fn(&SideFreeze) -> String| {
        sides[at].freeze.as_ref().map_or_else(|| "–".to_owned(), text)
    };
    vec![
        of("Worst freeze", &|at| match &sides[at].freeze {
            Some(freeze) => length(freeze),
            None if sides[at].can_tell => "none".to_owned(),
            None => "cannot be told".to_owned(),
        }),
        of("Of", &|at| freeze(at, &what)),
        of("Culprit", &|at| {
            freeze(at, &|freeze| {
                freeze.culprit.as_ref().map_or_else(|| "–".to_owned(), words::thread_short)
            })
        }),
        of("How sure", &|at| freeze(at, &|freeze| words::grade_label(freeze.grade).to_owned())),
        of("Threads blocked", &|at| {
            freeze(at, &|freeze| units::count(u64::from(freeze.threads_blocked)))
        }),
        of("Blocked in total", &|at| freeze(at, &|freeze| units::duration(freeze.blocked))),
        of("Freezes", &|at| units::count(sides[at].freezes)),
        of("Capture covers", &|at| {
            sides[at].covered.map_or_else(|| "sums only".to_owned(), units::duration)
        }),
        of("Fingerprint", &|at| {
            freeze(at, &|freeze| freeze.fingerprint.clone().unwrap_or_else(|| "–".to_owned()))
        }),
    ]
}

fn site_row(row: &SiteChange) -> SiteRow {
    let change = row.word();
    let longest = |sum: &SiteSum| sum.longest.map_or_else(|| "–".to_owned(), units::duration);
    SiteRow {
        mark: match change {
            "came" | "grew" => "▲",
            "went" | "shrank" => "▼",
            _ => "",
        },
        change,
        process: names::name(&row.process),
        site: names::function(&row.site),
        before: waited(&row.before),
        after: waited(&row.after),
        longest_before: longest(&row.before),
        longest_after: longest(&row.after),
    }
}

/// The share of a thread's time, or the sum where times are unknown.
fn waited(sum: &SiteSum) -> String {
    match sum.share {
        _ if sum.blocked == Nanos::ZERO => "none".to_owned(),
        Some(share) => format!("{:.2} %", share * 100.0),
        None => units::duration(sum.blocked),
    }
}

fn culprit_row(row: &CulpritChange) -> [String; 4] {
    let side =
        |sum: &CulpritSum| of_several(sum.freezes, ("freeze", "freezes"), &[longest(sum.longest)]);
    let call = row.operation.map_or("–", words::operation);
    [
        names::name(&row.thread.comm),
        format!("{call} ({})", row.cause.map_or("unknown", words::cause_label)),
        side(&row.before),
        side(&row.after),
    ]
}

fn longest(time: Option<Nanos>) -> Option<String> {
    time.map(|time| format!("longest {}", units::duration(time)))
}

/// `3 calls, largest 3.36 GB, longest 1.20 s`, without what is not known; `none` of none.
fn of_several(number: u64, (one, many): (&str, &str), known: &[Option<String>]) -> String {
    if number == 0 {
        return "none".to_owned();
    }
    let parts = known.iter().flatten().cloned();
    let parts: Vec<String> =
        std::iter::once(units::counted(number, one, many)).chain(parts).collect();
    parts.join(", ")
}

fn memory_row(row: &MemoryChange) -> [String; 4] {
    let side = |sum: &MemorySum| {
        let largest = sum.largest.map(|bytes| format!("largest {}", units::size(bytes)));
        of_several(sum.calls, ("call", "calls"), &[largest, longest(sum.longest)])
    };
    [
        names::name(&row.comm),
        words::operation(row.operation).to_owned(),
        side(&row.before),
        side(&row.after),
    ]
}
