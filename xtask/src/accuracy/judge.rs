//! Right, wrong or silent: a verdict against the truth.
//!
//! To say less than what happened is not wrong: no culprit, no cause, no size. To say anything else is.

use super::told::{Told, ToldCulprit, ToldFreeze};
use super::truth::{Extent, TrueFreeze, Truth};

/// A freeze that happened, one that was told, or one that is both.
#[derive(Clone, Debug)]
pub struct Row {
    /// What happened; `None` where truth knows of no freeze.
    pub truth: Option<TrueFreeze>,
    /// What was told; `None` where nothing was.
    pub told: Option<ToldFreeze>,
    /// What that is worth.
    pub judgement: Judgement,
    /// The part of the true freeze that lies in the capture, in seconds.
    pub seen: Option<(f64, f64)>,
}

impl Row {
    /// What happened beside what was told of it, where somebody stood still and the capture holds all of it.
    pub fn whole(&self) -> Option<(&TrueFreeze, &ToldFreeze)> {
        let (truth, told) = self.truth.as_ref().zip(self.told.as_ref())?;
        let whole = self.seen == Some((truth.start_s, truth.end_s));
        (whole && truth.blocked_ms > 0.0).then_some((truth, told))
    }

    /// How much more waiting is told than there truly was, in per cent.
    pub fn waiting_error(&self) -> Option<f64> {
        let (truth, told) = self.whole()?;
        Some((told.blocked_ms / truth.blocked_ms - 1.0) * 100.0)
    }

    /// How much more waiting than the true one is charged to the true culprit, in per cent; -100 where nothing is.
    pub fn blame_error(&self) -> Option<f64> {
        let (truth, told) = self.whole()?;
        let culprit = truth.tid?;
        let own = told.blame.iter().filter(|(thread, _)| *thread == culprit);
        let blamed: f64 = own.map(|(_, ms)| ms).sum();
        Some((blamed / truth.blocked_ms - 1.0) * 100.0)
    }
}

/// What a verdict is worth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// A cause is told, and all that is told is true.
    Right,
    /// A freeze is told, or none is ruled out; its cause is not.
    CannotTell,
    /// No freeze is told where there was none, or none that has to be told.
    RightlySilent,
    /// No freeze is told where there was one.
    Missed,
    /// A freeze is told that the frozen process did not have.
    Invented,
    /// A freeze of a process whose truth was not measured, beside the one whose truth was.
    Unmeasured,
    /// Some of what is told is not true.
    Wrong(Vec<Fault>),
}

/// What is not true.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Cause,
    Culprit,
    Operation,
    Bytes,
}

/// All that happened or was told in one capture: first what happened, in order of time, then what only was told.
pub fn rows(truth: &Truth, extent: Option<Extent>, told: &Told) -> Vec<Row> {
    let seen = |freeze: &TrueFreeze| {
        let whole = (freeze.start_s, freeze.end_s);
        extent.map_or(whole, |extent| {
            (whole.0.max(extent.first_sample_s), whole.1.min(extent.last_sample_s))
        })
    };
    let mut rows = Vec::new();
    let mut met = vec![false; told.freezes.len()];
    for freeze in &joined(truth, told) {
        let seen = seen(freeze);
        let of_it: Vec<usize> = (0..told.freezes.len())
            .filter(|&index| is_about(&told.freezes[index], freeze, truth))
            .collect();
        for &index in &of_it {
            met[index] = true;
            let told = told.freezes[index].clone();
            let judgement = judgement(freeze, &told);
            let truth = Some(freeze.clone());
            rows.push(Row { truth, told: Some(told), judgement, seen: Some(seen) });
        }
        if of_it.is_empty() {
            // Contention alone shows one freeze, and says of the other's cause that it cannot tell.
            let untold = told.cannot_tell.iter().any(|cause| *cause == freeze.cause);
            let denied = told.no_freeze || !told.freezes.is_empty() && !untold;
            let judgement = match (denied, freeze.has_to_be_told()) {
                (true, true) => Judgement::Missed,
                (true, false) => Judgement::RightlySilent,
                (false, _) => Judgement::CannotTell,
            };
            rows.push(Row { truth: Some(freeze.clone()), told: None, judgement, seen: Some(seen) });
        }
    }
    for (freeze, _) in told.freezes.iter().zip(met).filter(|(_, met)| !met) {
        let ours = freeze.pid.is_none() || freeze.pid == truth.server_pid;
        let measured = ours || truth.freezes.is_empty();
        let judgement = if measured { Judgement::Invented } else { Judgement::Unmeasured };
        rows.push(Row { truth: None, told: Some(freeze.clone()), judgement, seen: None });
    }
    if rows.is_empty() {
        let silent = if told.no_freeze { Judgement::RightlySilent } else { Judgement::CannotTell };
        rows.push(Row { truth: None, told: None, judgement: silent, seen: None });
    }
    rows
}

/// The true freezes, those in one that are told as one: a quota that is used up again and again, or all of a profile
/// without times. Only freezes of one cause and one culprit can be one; the call is that of the longest.
fn joined(truth: &Truth, told: &Told) -> Vec<TrueFreeze> {
    let mut joined: Vec<TrueFreeze> = Vec::new();
    for freeze in &truth.freezes {
        let is_one = |before: &TrueFreeze| {
            let both = |told| is_about(told, before, truth) && is_about(told, freeze, truth);
            (&before.cause, before.tid) == (&freeze.cause, freeze.tid)
                && told.freezes.iter().any(both)
        };
        match joined.last_mut().filter(|before| is_one(before)) {
            Some(before) => *before = before.joined(freeze),
            None => joined.push(freeze.clone()),
        }
    }
    joined
}

/// Whether a told freeze is about a true one: of the same process, and no other has more time in common with it, or it
/// takes in half of the true one. A profile without times is about all of them.
fn is_about(told: &ToldFreeze, freeze: &TrueFreeze, truth: &Truth) -> bool {
    if told.pid.is_some() && told.pid != truth.server_pid {
        return false;
    }
    let Some(span) = told.span else { return true };
    let shared = |freeze: &TrueFreeze| freeze.end_s.min(span.1) - freeze.start_s.max(span.0);
    let own = shared(freeze);
    let most = truth.freezes.iter().all(|other| shared(other) <= own);
    let half_of_it = own * 2.0 > freeze.end_s - freeze.start_s;
    own > 0.0 && (most || half_of_it)
}

fn judgement(truth: &TrueFreeze, told: &ToldFreeze) -> Judgement {
    let mut faults = Vec::new();
    if told.cause.is_some_and(|cause| !is(cause, &truth.cause, &truth.other_causes)) {
        faults.push(Fault::Cause);
    }
    if let Some(culprit) = &told.culprit {
        if !is_same_thread(culprit, truth) {
            faults.push(Fault::Culprit);
        } else {
            faults.extend(faults_of_call(culprit, truth));
        }
    }
    match (faults.is_empty(), told.cause) {
        (false, _) => Judgement::Wrong(faults),
        (true, Some(_)) => Judgement::Right,
        (true, None) => Judgement::CannotTell,
    }
}

/// Of a process that is to blame as a whole, any thread will do.
fn is_same_thread(told: &ToldCulprit, truth: &TrueFreeze) -> bool {
    match (truth.tid, truth.pid) {
        (Some(tid), _) => told.tid.is_none_or(|told| told == tid),
        (None, Some(pid)) => told.pid == Some(pid),
        (None, None) => false,
    }
}

/// What truth does not say of a call cannot be wrong, and who is told to be inside a lock of the program's own is told to be in
/// no call.
fn faults_of_call(told: &ToldCulprit, truth: &TrueFreeze) -> Vec<Fault> {
    let mut faults = Vec::new();
    let call = told.operation.filter(|&word| word != "user_lock");
    if let (Some(told), Some(operation)) = (call, &truth.operation)
        && !is(told, operation, &truth.other_operations)
    {
        faults.push(Fault::Operation);
    }
    if told.bytes.is_some() && truth.bytes.is_some() && told.bytes != truth.bytes {
        faults.push(Fault::Bytes);
    }
    faults
}

fn is(told: &str, truth: &str, others: &[String]) -> bool {
    told == truth || others.iter().any(|other| other == told)
}

#[cfg(test)]
mod tests;
