//! A recording that is too long to be kept as a whole, analysed in chapters.
//!
//! ```text
//! recording   |--------------------------------------------------------|
//! chapters    |----- first -----|                       ==== freeze
//!                          |------ second -----|
//!                                        |-------- last ---------------|
//! counted     |-----------------|--------------|-----------------------|
//! ```
//!
//! A freeze must be seen with what led to it, so chapters overlap: the next one begins well before the end, and before whatever froze
//! last. What happened in an overlap is counted once.

use std::cmp::Reverse;

use coldcase_ingest::capture::{Capture, Span, Timestamp};

use super::{Told, Worst, of_events, profile, summary};
use crate::details::Details;
use crate::details::timeline::{self, StackTimes};
use crate::findings::{Contention, Findings, FoldedStack, MemoryEvent, Outcome, Verdict, Window};
use crate::model::{Model, Part};
use crate::options::Options;
use crate::sites::{memory, totals};
use crate::windows::RawWindow;
use crate::windows::past::Past;

/// Analyses a recording that is read in chapters, of which one is kept at a time.
///
/// What is said of the whole recording (sums, the events, the list of freezes) is said of all chapters, and what lies behind the verdict
/// of the one with the worst freeze. A thread's habits are those of a chapter, and a freeze of several chapters' length is told as
/// one in each of them.
pub struct Chapters<'o> {
    options: &'o Options,
    sums: Sums,
    windows: Vec<Window>,
    worst: Option<(Worst, Verdict)>,
    /// The first chapter's verdict in which nothing froze for certain, and something may have.
    doubt: Option<Verdict>,
    begins: Option<Timestamp>,
    counted: Option<Timestamp>,
    past: Past,
}

impl<'o> Chapters<'o> {
    /// Before the first chapter.
    #[must_use]
    pub fn new(options: &'o Options) -> Self {
        Self {
            options,
            sums: Sums::default(),
            windows: Vec::new(),
            worst: None,
            doubt: None,
            begins: None,
            counted: None,
            past: Past::default(),
        }
    }

    /// Takes the next chapter, and says from when on the one after it has to have its events.
    pub fn take(&mut self, capture: &Capture) -> Timestamp {
        let part = Part {
            begins: self.begins,
            counted: self.counted,
            goes_on: true,
            past: Some(&self.past),
        };
        let model = Model::new(capture, &self.options.rules, part);
        let (told, _) = of_events(&model, self.options, &mut self.sums);
        let (span, next, now) = (model.span, told.next, Past::of_part(&model));
        self.past.add(now);
        self.add(told);
        self.begins.get_or_insert(span.start);
        self.counted = Some(span.end);
        next
    }

    /// Takes the last chapter, and says what was found in all of them.
    #[must_use]
    pub fn finish(mut self, capture: &Capture) -> Findings {
        if super::is_profile(capture) {
            return profile::findings(capture, self.options);
        }
        let past = std::mem::take(&mut self.past);
        let part =
            Part { begins: self.begins, counted: self.counted, goes_on: false, past: Some(&past) };
        let model = Model::new(capture, &self.options.rules, part);
        self.finish_with(&model).0
    }

    /// The same, with the freezes of the last chapter.
    pub(super) fn finish_with(mut self, model: &Model<'_>) -> (Findings, Vec<RawWindow>) {
        let (mut told, raws) = of_events(model, self.options, &mut self.sums);
        let off_cpu_all = std::mem::take(&mut told.off_cpu_all);
        let last = told.verdict.clone();
        self.add(told);
        (self.findings(model.capture, off_cpu_all, last), raws)
    }

    fn add(&mut self, told: Told) {
        let Told { windows, worst, mut verdict, .. } = told;
        verdict.window = verdict.window.map(|index| index + self.windows.len());
        self.windows.extend(windows);
        match worst {
            Some(worst) if self.worst.as_ref().is_none_or(|(known, _)| known.rank < worst.rank) => {
                self.worst = Some((worst, verdict));
            }
            None if verdict.outcome != Outcome::NoFreeze => {
                self.doubt.get_or_insert(verdict);
            }
            _ => {}
        }
    }

    fn findings(self, capture: &Capture, off_cpu_all: Vec<FoldedStack>, last: Verdict) -> Findings {
        let Self { sums, windows, worst, doubt, begins, .. } = self;
        let mut read = summary::of(capture);
        if let (Some(start), Some(span)) = (begins, &mut read.span) {
            span.start = start;
        }
        let (wait_sites, off_cpu, timeline, details, verdict) = match worst {
            Some((worst, verdict)) => {
                (worst.wait_sites, worst.off_cpu, Some(worst.timeline), worst.details, verdict)
            }
            None => {
                let held_up = timeline::by_stack(capture, sums.held_up);
                let verdict = doubt.unwrap_or(last);
                (sums.waits.by_site(), held_up, None, Details::default(), verdict)
            }
        };
        Findings {
            capture: read,
            verdict,
            windows,
            wait_sites,
            processes: sums.waits.by_process(),
            contention: sums.contention.into_iter().max_by_key(|row| row.blocked),
            memory_events: memory::most_important(sums.memory_events),
            memory_totals: sums.memory.rows(),
            timeline,
            off_cpu,
            details: Details { off_cpu_all, ..details },
        }
    }
}

/// What is summed up over all chapters.
#[derive(Default)]
pub(super) struct Sums {
    waits: totals::Totals,
    memory: memory::Totals,
    memory_events: Vec<MemoryEvent>,
    /// A lock's rows of several chapters are one.
    contention: Vec<Contention>,
    off_cpu: StackTimes,
    /// Asked for where nothing froze.
    held_up: StackTimes,
}

impl Sums {
    /// Adds a chapter's waits.
    pub fn add_waits(&mut self, model: &Model<'_>) {
        self.waits.add(model);
        timeline::add_off_cpu(&mut self.off_cpu, model);
    }

    /// Adds what else a chapter has.
    pub fn add_rest(
        &mut self,
        model: &Model<'_>,
        contention: Option<Contention>,
        memory_events: Vec<MemoryEvent>,
    ) {
        timeline::add_held_up(&mut self.held_up, model, contention.as_ref());
        self.memory.add(model.capture, &model.brackets, model.part);
        self.memory_events.extend(memory_events);
        if model.part.goes_on {
            self.memory_events = memory::most_important(std::mem::take(&mut self.memory_events));
        }
        let Some(row) = contention else { return };
        let is_same = |known: &&mut Contention| {
            (known.pid, &known.comm, &known.site) == (row.pid, &row.comm, &row.site)
        };
        let Some(known) = self.contention.iter_mut().find(is_same) else {
            self.contention.push(row);
            return;
        };
        known.blocked += row.blocked;
        known.waits += row.waits;
        known.threads = known.threads.max(row.threads);
        known.longest = known.longest.max(row.longest);
    }

    /// Off-CPU time of all chapters.
    pub fn take_off_cpu(&mut self) -> StackTimes {
        std::mem::take(&mut self.off_cpu)
    }
}

/// From when on the next chapter has to have its events: the last eighth of them, and whatever froze then or shortly before, with as
/// much again of what led to it, but no more than half of them. No freeze reaches over that moment, unless it fills half of a chapter.
pub(super) fn overlap(model: &Model<'_>, freezes: &[RawWindow]) -> Timestamp {
    let switches = &model.capture.switches;
    let at = |eighths: usize| switches.get(switches.len() / 8 * eighths).map(|row| row.time);
    let (Some(earliest), Some(mut next)) = (at(4), at(7)) else { return model.span.end };
    let before = model.span.end.since(next);
    let mut spans: Vec<Span> = freezes.iter().map(|raw| raw.span).collect();
    spans.sort_by_key(|span| Reverse(span.end));
    for span in spans {
        if span.end > next {
            next = next.min(span.start.minus(before));
        }
    }
    if next < earliest { model.span.end } else { next }
}
