//! Off-CPU profiles: sites and sums are known, of the whole recording or of each of its slices; the holder only by its
//! absence.

mod slices;

use std::collections::{BTreeMap, BTreeSet};

use coldcase_ingest::capture::{Capture, Mode, Nanos, ProfileWaker, Sentence, StackId, TaskState};

use crate::details::folded::{self, NamedTimes};
use crate::findings::{
    BlameRow, Cause, FoldedStack, Freeze, Grade, Lock, ProcessTotal, SiteTotal, Window,
};
use crate::holds::release;
use crate::options::Options;
use crate::rules::{Matcher, WaitKind};
use crate::sites;
use crate::sites::operation;
use crate::verdict::logged;
use slices::Run;

/// What a profile shows.
pub(crate) struct Profile {
    pub sites: Vec<SiteTotal>,
    pub processes: Vec<ProcessTotal>,
    pub window: Option<Window>,
    pub off_cpu: Vec<FoldedStack>,
    /// Whether the profile can show that nothing froze.
    pub can_deny: bool,
}

/// Time at one site.
pub(crate) struct At<'a> {
    comm: &'a str,
    pub site: String,
    pub kind: WaitKind,
    time: Nanos,
    waker: Option<ProfileWaker>,
    slice: Option<usize>,
    stack: StackId,
}

impl At<'_> {
    /// What the wait was for, if it is a harm. A futex may be a lock or an empty queue; sums do not tell which.
    fn harm(&self) -> Option<Cause> {
        match self.kind {
            WaitKind::Harm(cause, _) if cause != Cause::Futex => Some(cause),
            _ => None,
        }
    }
}

/// Judges a profile.
pub(crate) fn judge(capture: &Capture, options: &Options) -> Profile {
    let mut rows = classify(capture, options);
    let run = slices::worst(capture, &rows, options.min_freeze);
    if let Some(run) = &run {
        rows.retain(|row| row.slice.is_some_and(|slice| run.slices.contains(&slice)));
    }
    // A dump of blocked tasks has no times at all: then it counts how many stand where.
    let timeless = rows.iter().all(|row| row.time == Nanos::ZERO);
    let mut harm: BTreeMap<Cause, Nanos> = BTreeMap::new();
    for row in &rows {
        if let Some(cause) = row.harm() {
            *harm.entry(cause).or_default() += if timeless { Nanos(1) } else { row.time };
        }
    }
    let most = harm.into_iter().max_by_key(|&(cause, time)| (time, std::cmp::Reverse(cause)));
    let most = most.filter(|&(cause, sum)| {
        let time = if capture.slices.is_empty() {
            sum
        } else {
            slices::most_in_one(capture, &rows, cause)
        };
        timeless || time >= options.min_freeze
    });
    let cause = run.as_ref().map(|run| run.cause).or(most.map(|(cause, _)| cause));
    let mut times = NamedTimes::new();
    for row in &capture.profile {
        *times.entry((None, capture.threads.get(row.thread).comm(), row.stack)).or_default() +=
            row.off_cpu;
    }
    Profile {
        can_deny: can_deny(capture, &rows),
        processes: by_process(&rows),
        sites: by_site(rows.iter()),
        window: cause.map(|cause| window(capture, &rows, cause, timeless, run)),
        off_cpu: folded::fold(capture, times),
    }
}

/// Whether at least half of the time has stacks that tell what was waited for: a program's own frames tell where it
/// stood, and not why (`perf record --off-cpu`, `offcputime -U`).
fn can_deny(capture: &Capture, rows: &[At<'_>]) -> bool {
    let in_kernel = |frame| capture.frames.get(frame).mode == Mode::Kernel;
    let (mut all, mut told) = (Nanos::ZERO, Nanos::ZERO);
    for row in rows {
        all += row.time;
        let known = row.kind != WaitKind::Other;
        if known || capture.stacks.frames(row.stack).iter().any(|&frame| in_kernel(frame)) {
            told += row.time;
        }
    }
    told.0 >= all.0 - told.0
}

/// What each row of the profile waited for, in the order of the rows.
pub(crate) fn classify<'a>(capture: &'a Capture, options: &Options) -> Vec<At<'a>> {
    let mut matcher = Matcher::new(capture, &options.rules);
    let rows = capture.profile.iter().map(|row| {
        let comm = capture.threads.get(row.thread).comm();
        let (time, waker) = (row.off_cpu, row.waker);
        let slice = row.slice.map(|slice| slice as usize);
        // Who was woken stood somewhere; only what the waker let go of says where.
        let released = || release::released_lock(capture, waker?.stack);
        if capture.stacks.frames(row.stack).is_empty()
            && let Some(kind) = released()
        {
            return At {
                comm,
                site: "mmap_lock, by who released it".to_owned(),
                kind,
                time,
                waker,
                slice,
                stack: row.stack,
            };
        }
        let rule = matcher.rule(Some(row.stack), TaskState::Unknown);
        let kind = rule.map_or(WaitKind::Other, |rule| rule.kind);
        let name = rule.map_or("unrecognised stack", |rule| rule.site.as_str());
        let site = sites::full_name(name, kind, operation::of_stack(capture, row.stack));
        At { comm, site, kind, time, waker, slice, stack: row.stack }
    });
    rows.collect()
}

/// A profile's rows have the names of threads, and not of their processes.
fn by_process(rows: &[At<'_>]) -> Vec<ProcessTotal> {
    let mut of_name: BTreeMap<&str, Vec<&At<'_>>> = BTreeMap::new();
    for row in rows {
        of_name.entry(row.comm).or_default().push(row);
    }
    let total = |(comm, rows): (&str, Vec<&At<'_>>)| ProcessTotal {
        comm: comm.to_owned(),
        threads: 1,
        sites: by_site(rows.into_iter()),
    };
    of_name.into_iter().map(total).collect()
}

fn by_site<'a>(rows: impl Iterator<Item = &'a At<'a>>) -> Vec<SiteTotal> {
    let mut sites: BTreeMap<&str, (WaitKind, Nanos, BTreeSet<&str>)> = BTreeMap::new();
    for row in rows {
        let site = sites.entry(&row.site).or_insert((row.kind, Nanos::ZERO, BTreeSet::new()));
        site.1 += row.time;
        site.2.insert(row.comm);
    }
    let mut sites: Vec<SiteTotal> = sites
        .into_iter()
        .map(|(site, (kind, blocked, comms))| SiteTotal {
            site: site.to_owned(),
            cause: match kind {
                WaitKind::Harm(cause, _) => Some(cause),
                WaitKind::Idle | WaitKind::Other => None,
            },
            blocked,
            waits: None,
            threads: comms.len() as u64,
            longest: None,
            idle: kind == WaitKind::Idle,
        })
        .collect();
    sites.sort_by(|a, b| {
        a.idle.cmp(&b.idle).then(b.blocked.cmp(&a.blocked)).then_with(|| a.site.cmp(&b.site))
    });
    sites
}

fn window(
    capture: &Capture,
    rows: &[At<'_>],
    cause: Cause,
    timeless: bool,
    run: Option<Run>,
) -> Window {
    let mut comms: BTreeMap<&str, Nanos> = BTreeMap::new();
    let of_cause = |row: &&At<'_>| matches!(row.kind, WaitKind::Harm(known, _) if known == cause);
    for row in rows.iter().filter(of_cause) {
        *comms.entry(row.comm).or_default() += row.time;
    }
    let blocked: Nanos = comms.values().copied().sum();
    let worst = comms.iter().max_by_key(|(comm, time)| (**time, std::cmp::Reverse(**comm)));
    let comm = worst.map_or(String::new(), |(comm, _)| (*comm).to_owned());
    let reason = "a profile without times shows who waited, not who held";
    let mut evidence = if timeless {
        vec![Sentence::from("the stacks are those of one moment, without any time")]
    } else {
        vec![
            match run {
                Some(_) => "the sums run over all threads of a name and over whole files",
                None => "the sums run over all threads of a name and over the whole recording",
            }
            .into(),
            "waits that had not ended are missing: the figures are lower bounds".into(),
        ]
    };
    let span = run.as_ref().and_then(|run| run.span);
    match run {
        Some(run) => evidence.extend(run.evidence),
        None if capture.slices.is_empty() => {}
        None => evidence.push("in no file the waiting stands out against the others".into()),
    }
    evidence.extend(wakers(capture, rows.iter().filter(of_cause)));
    let waited: Vec<Nanos> = comms.values().copied().collect();
    let logged = (cause == Cause::MmapLock).then(|| logged::culprit(capture, &waited)).flatten();
    let culprit = logged.map(|(culprit, said)| {
        evidence.push(said.into());
        culprit
    });
    Window {
        cause: Some(cause),
        grade: Grade::Circumstantial,
        reasons: Vec::new(),
        evidence,
        freeze: Freeze {
            pid: None,
            comm,
            span,
            open_start: false,
            open_end: false,
            threads_blocked: u32::try_from(comms.len()).unwrap_or(u32::MAX),
            processes: 1,
            strangers: false,
            awaited_by: 0,
            paused: false,
            cpus: Vec::new(),
            blocked,
            range: numbered(comms.keys().copied()),
        },
        lock: cause.is_lock().then_some(Lock { kind: cause, mode: None, address: None }),
        culprit,
        blame: vec![BlameRow {
            thread: None,
            doing: reason.to_owned(),
            time: blocked,
            unknown: true,
        }],
        chain: Vec::new(),
        deadlock: Vec::new(),
        starved_end: None,
        without_culprit: None,
        remedies: Vec::new(),
    }
}

/// The first and the last of names that end in numbers in a row: `serve-0` and `serve-5`.
fn numbered<'a>(comms: impl Iterator<Item = &'a str>) -> Option<(String, String)> {
    let parts = |comm: &'a str| -> Option<(&'a str, u32, &'a str)> {
        let stem = comm.trim_end_matches(|c: char| c.is_ascii_digit());
        Some((stem, comm[stem.len()..].parse().ok()?, comm))
    };
    let mut all: Vec<_> = comms.map(parts).collect::<Option<_>>()?;
    all.sort_unstable();
    let in_a_row = all.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].1 + 1 == pair[1].1);
    let (first, last) = (all.first()?, all.last()?);
    (all.len() > 1 && in_a_row).then(|| (first.2.to_owned(), last.2.to_owned()))
}

/// Who let go of the lock when it mattered most. The last to let go is not the one who held it longest, so this accuses nobody.
fn wakers<'a>(capture: &Capture, rows: impl Iterator<Item = &'a At<'a>>) -> Option<Sentence> {
    let mut times: BTreeMap<(String, String), Nanos> = BTreeMap::new();
    for row in rows {
        let Some(waker) = row.waker else { continue };
        if release::of_stack(capture, waker.stack).is_some() {
            let operation = operation::of_stack(capture, waker.stack);
            let operation = operation.map_or("an unknown call", |operation| operation.word());
            let comm = capture.threads.get(waker.thread).comm().to_owned();
            *times.entry((comm, operation.to_owned())).or_default() += row.time;
        }
    }
    let ((comm, operation), time) = times.into_iter().max_by_key(|(_, time)| *time)?;
    let millis = time.as_millis_f64();
    Some(Sentence::default().task(&comm).words(&format!(
        " ended {millis:.1} ms of the waiting by letting go of the lock in {operation}"
    )))
}
