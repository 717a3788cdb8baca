//! The page's figures: how often it is right, by grade and by set of events, and what is taken for what.

use std::collections::{BTreeMap, BTreeSet};

use coldcase_analyze::findings::Grade;

use super::captures::{EVENT_SETS, Judged};
use super::judge::{Fault, Judgement, Row};

/// Captures and freezes, counted by what is said of them. Of `freezes`, each is one of `right`, `rightly_silent`,
/// `cannot_tell`, `missed` and `wrong`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    pub captures: usize,
    /// True freezes.
    pub freezes: usize,
    pub right: usize,
    /// Too short to be told, or nobody stood still.
    pub rightly_silent: usize,
    pub cannot_tell: usize,
    pub missed: usize,
    pub wrong: usize,
    pub wrong_culprits: usize,
    pub wrong_causes: usize,
    /// The right thread in a wrong call, or with a wrong size.
    pub wrong_calls: usize,
    /// Told, but not true.
    pub invented: usize,
    /// Told of processes whose truth was not measured.
    pub unmeasured: usize,
}

impl Tally {
    /// Of some captures.
    pub fn of<'a>(judged: impl Iterator<Item = &'a Judged>) -> Self {
        let mut tally = Self::default();
        for capture in judged {
            tally.captures += 1;
            capture.rows.iter().for_each(|row| tally.add(row));
        }
        tally
    }

    fn add(&mut self, row: &Row) {
        self.invented += usize::from(row.judgement == Judgement::Invented);
        self.unmeasured += usize::from(row.judgement == Judgement::Unmeasured);
        if row.truth.is_none() {
            return;
        }
        self.freezes += 1;
        match &row.judgement {
            Judgement::Right => self.right += 1,
            Judgement::CannotTell => self.cannot_tell += 1,
            Judgement::RightlySilent => self.rightly_silent += 1,
            Judgement::Missed => self.missed += 1,
            Judgement::Wrong(faults) => {
                let has = |fault| usize::from(faults.contains(&fault));
                self.wrong += 1;
                self.wrong_culprits += has(Fault::Culprit);
                self.wrong_causes += has(Fault::Cause);
                self.wrong_calls += has(Fault::Operation).max(has(Fault::Bytes));
            }
            Judgement::Invented | Judgement::Unmeasured => {}
        }
    }
}

/// The tally of each set of events, the richest first.
pub fn by_events(judged: &[Judged]) -> Vec<(&'static str, Tally)> {
    let sets = EVENT_SETS.iter().map(|(events, _)| *events);
    sets.map(|events| (events, Tally::of(judged.iter().filter(|one| one.events == events))))
        .collect()
}

/// How many freezes were told with a grade, and what that was worth.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct OfGrade {
    pub told: usize,
    pub right: usize,
    pub cannot_tell: usize,
    pub wrong: usize,
    pub unmeasured: usize,
}

/// Each grade's figures, the surest first.
pub fn by_grade(judged: &[Judged]) -> Vec<(&'static str, OfGrade)> {
    let of = |grade: Grade| {
        let mut figures = OfGrade::default();
        for row in judged.iter().flat_map(|one| &one.rows) {
            if row.told.as_ref().is_none_or(|told| told.grade != grade) {
                continue;
            }
            figures.told += 1;
            match row.judgement {
                Judgement::Right => figures.right += 1,
                Judgement::CannotTell => figures.cannot_tell += 1,
                Judgement::Unmeasured => figures.unmeasured += 1,
                _ => figures.wrong += 1,
            }
        }
        (grade.word(), figures)
    };
    Grade::ALL.iter().map(|grade| of(*grade)).collect()
}

/// How far the told number of threads and their waiting are from the truth.
pub struct HowFarOff {
    /// Freezes told, and held whole by their capture.
    pub freezes: usize,
    /// With as many threads as in truth.
    pub same_threads: usize,
    /// Told with more waiting than there was, or less.
    pub waiting: Errors,
    /// More waiting charged to the true culprit than was true, or less, where any is.
    pub blame: Errors,
}

/// Errors in per cent, without their signs.
pub struct Errors {
    /// Of how many freezes.
    pub count: usize,
    /// Of half of them no more than this; `None` if there are none.
    pub median: Option<f64>,
    /// Of none more than this.
    pub largest: Option<f64>,
}

impl Errors {
    fn of(errors: impl Iterator<Item = f64>) -> Self {
        let mut errors: Vec<f64> = errors.map(f64::abs).collect();
        errors.sort_by(f64::total_cmp);
        let (count, median) = (errors.len(), errors.get(errors.len() / 2).copied());
        Self { count, median, largest: errors.last().copied() }
    }
}

/// Of each set of events of which a freeze was told.
pub fn how_far_off(judged: &[Judged]) -> Vec<(&'static str, HowFarOff)> {
    let of = |events: &str| {
        let rows = judged.iter().filter(|one| one.events == events).flat_map(|one| &one.rows);
        let rows: Vec<&Row> = rows.filter(|row| row.whole().is_some()).collect();
        let same = rows.iter().filter_map(|row| row.whole());
        let same = same.filter(|(truth, told)| truth.threads_blocked == told.threads_blocked);
        let blame = rows.iter().filter_map(|row| row.blame_error());
        (!rows.is_empty()).then(|| HowFarOff {
            freezes: rows.len(),
            same_threads: same.count(),
            waiting: Errors::of(rows.iter().filter_map(|row| row.waiting_error())),
            blame: Errors::of(blame.filter(|&error| error > -100.0)),
        })
    };
    EVENT_SETS.iter().filter_map(|&(events, _)| Some((events, of(events)?))).collect()
}

/// How often each true cause was told as which.
pub struct Confusion {
    /// What was told, in the order of the columns.
    pub told: Vec<String>,
    /// Each true cause with its counts, one for each column.
    pub rows: Vec<(String, Vec<usize>)>,
    /// What was told as another cause and is right all the same: true, told, how often.
    pub allowed: Vec<(String, &'static str, usize)>,
}

pub const CANNOT_TELL: &str = "cannot tell";
pub const NO_FREEZE: &str = "no freeze";

impl Confusion {
    /// Of all captures; freezes whose truth was not measured are left out.
    pub fn of(judged: &[Judged]) -> Self {
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        let rows = judged.iter().flat_map(|one| &one.rows);
        for row in rows.filter(|row| row.judgement != Judgement::Unmeasured) {
            *counts.entry((true_cause(row), told_cause(row))).or_default() += 1;
        }
        let all = counts.keys().flat_map(|(truth, told)| [truth, told]);
        let silent = [CANNOT_TELL, NO_FREEZE];
        let causes: BTreeSet<&String> =
            all.filter(|word| !silent.contains(&word.as_str())).collect();
        let causes: Vec<String> = causes.into_iter().cloned().collect();
        let with = |more: &[&str]| -> Vec<String> {
            causes.iter().cloned().chain(more.iter().map(|word| (*word).to_owned())).collect()
        };
        let told = with(&silent);
        let count = |truth: &String| {
            let of = |told: &String| counts.get(&(truth.clone(), told.clone())).copied();
            told.iter().map(|told| of(told).unwrap_or_default()).collect()
        };
        let rows = with(&[NO_FREEZE]).into_iter().map(|truth| (truth.clone(), count(&truth)));
        Self { rows: rows.collect(), told, allowed: allowed(judged) }
    }
}

fn allowed(judged: &[Judged]) -> Vec<(String, &'static str, usize)> {
    let mut counts: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
    let rows = judged.iter().flat_map(|one| &one.rows);
    for row in rows.filter(|row| row.judgement == Judgement::Right) {
        let told = row.told.as_ref().and_then(|told| told.cause).unwrap_or(CANNOT_TELL);
        let truth = true_cause(row);
        if truth != told {
            *counts.entry((truth, told)).or_default() += 1;
        }
    }
    counts.into_iter().map(|((truth, told), count)| (truth, told, count)).collect()
}

fn true_cause(row: &Row) -> String {
    row.truth.as_ref().map_or(NO_FREEZE, |truth| &truth.cause).to_owned()
}

fn told_cause(row: &Row) -> String {
    let silent = if row.judgement == Judgement::CannotTell { CANNOT_TELL } else { NO_FREEZE };
    row.told.as_ref().map_or(silent, |told| told.cause.unwrap_or(CANNOT_TELL)).to_owned()
}
