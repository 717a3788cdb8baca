//! Two analyses of one system compared: what a change did to the freeze.
//!
//! The worst freezes of both are held against each other, and what all of both captures show: sites, culprits and memory calls. Processes
//! and threads are matched by their names and pools (`serve-1`, `serve-2`), never by numbers. Captures differ in length and number of
//! threads, so waiting is compared as the share of a thread's time. A capture that cannot show a freeze is never said to be better.

mod rows;
mod verdict;

use coldcase_ingest::capture::{Nanos, Sentence};

use crate::findings::{Cause, Findings, Grade, Operation, Role, ThreadName, Window};
pub use rows::{CulpritChange, CulpritSum, MemoryChange, MemorySum, SiteChange, SiteSum};

/// From this ratio on a length or a share is another one; freezes of one cause vary by less on one machine.
pub const RATIO: f64 = 1.25;
/// A difference of freezes shorter than this is none: shorter freezes have no name either.
pub const LEAST: Nanos = Nanos(50_000_000);

/// What a change did.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// In one word.
    pub change: Change,
    /// Whether it got worse: a freeze where the capture before shows none, or a worst freeze that is longer by [`RATIO`] and [`LEAST`].
    pub worse: bool,
    /// How sure that is.
    pub grade: Grade,
    /// Whether both captures show one incident.
    pub incident: Incident,
    /// The capture before.
    pub before: Side,
    /// The capture after.
    pub after: Side,
    /// Why the two cannot be compared in full, or at all.
    pub reservations: Vec<Sentence>,
    /// Harmful wait sites of processes, the largest difference first.
    pub sites: Vec<SiteChange>,
    /// Who caused freezes, before or after.
    pub culprits: Vec<CulpritChange>,
    /// Memory calls by process and operation, the largest first.
    pub memory: Vec<MemoryChange>,
}

/// What became of the worst freeze.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Neither capture has a freeze.
    None,
    /// It is gone.
    Gone,
    /// It is shorter.
    Shorter,
    /// It is as long as before.
    Same,
    /// It is longer.
    Longer,
    /// Another lock, call or process froze, for however long.
    Moved,
    /// A freeze where there was none.
    New,
    /// One of the captures does not allow to say.
    CannotTell,
}

impl Change {
    /// Every word.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Gone,
        Self::Shorter,
        Self::Same,
        Self::Longer,
        Self::Moved,
        Self::New,
        Self::CannotTell,
    ];

    /// The word that stands in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gone => "gone",
            Self::Shorter => "shorter",
            Self::Same => "same",
            Self::Longer => "longer",
            Self::Moved => "moved",
            Self::New => "new",
            Self::CannotTell => "cannot_tell",
        }
    }
}

/// Whether two freezes are one incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incident {
    /// Their fingerprints are the same.
    Same,
    /// Process and cause are the same, and nothing that both captures know differs but functions or sites, which one of them may not know.
    Alike,
    /// They differ in process, cause or call.
    Other,
    /// Only one of the captures has a freeze, or none.
    NoPair,
}

impl Incident {
    /// The word that stands in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Alike => "alike",
            Self::Other => "other",
            Self::NoPair => "no_pair",
        }
    }
}

/// One of the two captures.
#[derive(Clone, Debug)]
pub struct Side {
    /// Whether it can show that nothing froze, or shows that something did.
    pub can_tell: bool,
    /// Its worst freeze.
    pub freeze: Option<SideFreeze>,
    /// Number of freezes.
    pub freezes: u64,
    /// Sum of their lengths, as far as these are known.
    pub frozen: Nanos,
    /// From the first event to the last; `None` for sums without times.
    pub covered: Option<Nanos>,
    /// Longest single wait for what the other capture's worst freeze waited for, by the same process; `None` if there was none, or if
    /// the format knows sums only.
    pub longest_of_same: Option<Nanos>,
}

/// The worst freeze of a capture.
#[derive(Clone, Debug)]
pub struct SideFreeze {
    /// Name of the process.
    pub process: String,
    /// Names of the threads that stood still, without their numbers in a pool; of a profile, which has no processes, the name above.
    pub threads: Vec<String>,
    /// Its cause.
    pub cause: Option<Cause>,
    /// In which call it was held.
    pub operation: Option<Operation>,
    /// Who held it.
    pub culprit: Option<ThreadName>,
    /// How sure that is.
    pub grade: Grade,
    /// How long it lasted; `None` for a profile without times.
    pub length: Option<Nanos>,
    /// The length is a lower bound: it reaches beyond the recording.
    pub open: bool,
    /// Blocked time, summed over threads.
    pub blocked: Nanos,
    /// How many threads stood still.
    pub threads_blocked: u32,
    /// See [`fingerprint`](crate::fingerprint).
    pub fingerprint: Option<String>,
}

/// Compares two analyses.
#[must_use]
pub fn compare(before: &Findings, after: &Findings) -> Comparison {
    let sites = rows::sites(before, after);
    let (first, second) = (side(before, after), side(after, before));
    let incident = verdict::incident(first.freeze.as_ref(), second.freeze.as_ref());
    let reservations = verdict::reservations(before, after);
    let judged = verdict::judge(&first, &second, incident, &reservations);
    Comparison {
        change: judged.change,
        worse: judged.worse,
        grade: judged.grade,
        incident,
        before: first,
        after: second,
        reservations: reservations.into_iter().map(|reservation| reservation.text).collect(),
        sites,
        culprits: rows::culprits(before, after),
        memory: rows::memory(before, after),
    }
}

fn side(findings: &Findings, other: &Findings) -> Side {
    let spans = findings.windows.iter().filter_map(|window| window.freeze.span);
    Side {
        can_tell: verdict::can_tell(findings),
        freeze: findings.worst().map(|window| freeze(findings, window)),
        freezes: findings.windows.len() as u64,
        frozen: spans.map(|span| span.duration()).sum(),
        covered: findings.capture.span.map(|span| span.duration()),
        longest_of_same: other.worst().and_then(|window| longest(findings, window)),
    }
}

fn freeze(findings: &Findings, window: &Window) -> SideFreeze {
    let freeze = &window.freeze;
    let lanes = findings.timeline.iter().flat_map(|timeline| &timeline.lanes);
    let victims = lanes.filter(|lane| lane.role == Role::Victim);
    let mut threads: Vec<String> =
        victims.map(|lane| rows::pool(&lane.thread.comm).to_owned()).collect();
    threads.push(rows::pool(&freeze.comm).to_owned());
    threads.sort_unstable();
    threads.dedup();
    SideFreeze {
        process: freeze.comm.clone(),
        threads,
        cause: window.cause,
        operation: window.culprit.as_ref().and_then(|culprit| culprit.operation),
        culprit: window.culprit.as_ref().map(|culprit| culprit.thread.clone()),
        grade: window.grade,
        length: freeze.span.map(|span| span.duration()),
        open: freeze.open_start || freeze.open_end,
        blocked: freeze.blocked,
        threads_blocked: freeze.threads_blocked,
        fingerprint: findings.verdict.fingerprint.clone(),
    }
}

/// The longest wait of a freeze's process for its cause, in another capture.
fn longest(findings: &Findings, window: &Window) -> Option<Nanos> {
    let process = findings.processes.iter().find(|process| process.comm == window.freeze.comm)?;
    let sites = process.sites.iter().filter(|site| site.cause == window.cause && !site.idle);
    sites.filter_map(|site| site.longest).max()
}
