//! The times at which threads were kept from running, of which freezes are made.
//!
//! A busy process has millions of them, and most are far from any freeze. So first those are looked for that are long and
//! unusual enough to make one, and then the others near them.

use coldcase_ingest::capture::{Nanos, Span, ThreadId, Timestamp};

use crate::at_once;
use crate::cpu;
use crate::findings::Cause;
use crate::model::Model;
use crate::options::Options;
use crate::rules::WaitKind;
use crate::runtimes;
use crate::states::{Doing, Slice, WaitId};
use crate::windows::habits::Habits;

/// One time that a thread was kept from running.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Harm {
    pub thread: ThreadId,
    pub span: Span,
    pub cause: Cause,
    /// `None` for time in want of a CPU.
    pub wait: Option<WaitId>,
    /// Whether it is long and unusual enough to make a freeze; others are counted inside one.
    pub makes_window: bool,
}

impl Harm {
    /// Whether it is a wait for a futex of which no function says that it is a lock.
    pub fn is_at_unnamed_futex(&self, model: &Model<'_>) -> bool {
        self.cause == Cause::Futex && self.wait.is_none_or(|id| !model.sites.of(id).known_lock)
    }

    /// The part of it in a span.
    pub fn inside(&self, span: Span) -> Option<Self> {
        self.span.intersect(span).map(|cut| Self { span: cut, ..*self })
    }
}

/// A freeze is made of waits of this length and more.
pub(crate) fn long(options: &Options) -> Nanos {
    Nanos(options.min_freeze.0 / 2)
}

/// Shows every time that one of these threads was kept from running, in no order.
///
/// Of a busy machine these are millions of waits, so they are gone through as they lie in memory and not thread by thread.
pub(crate) fn all(
    model: &Model<'_>,
    threads: &[ThreadId],
    options: &Options,
    mut show: impl FnMut(&Harm),
) {
    let mut judges: Vec<Option<Judge<'_, '_>>> = Vec::new();
    judges.resize_with(model.capture.threads.len(), || None);
    for &thread in threads {
        judges[thread.index()] = Some(Judge::new(model, thread, options));
    }
    for (id, wait) in model.states.waits() {
        let judge = judges[wait.thread.index()].as_ref();
        let slice = Slice { span: wait.span, doing: Doing::Blocked(id) };
        judge.and_then(|judge| judge.harm(&slice)).iter().for_each(&mut show);
    }
    for judge in judges.iter().flatten() {
        let ready = model.states.of(judge.thread).long(judge.long);
        let ready = ready.filter(|slice| matches!(slice.doing, Doing::Runnable(_)));
        ready.filter_map(|slice| judge.harm(&slice)).for_each(|harm| show(&harm));
    }
}

/// Those that make a freeze, in order of time.
pub(crate) fn making(model: &Model<'_>, threads: &[ThreadId], options: &Options) -> Vec<Harm> {
    let long = long(options);
    let mut making: Vec<Harm> = of_each(threads, |thread| {
        let judge = Judge::new(model, thread, options);
        let slices = model.states.of(thread).long(long);
        slices.filter_map(|slice| judge.harm(&slice)).collect()
    });
    // Waits that are taken in slices make one together.
    for series in model.series.iter() {
        if series.is_one && series.span.duration() >= long && threads.contains(&series.thread) {
            let judge = Judge::new(model, series.thread, options);
            let slices = series
                .waits
                .iter()
                .map(|&id| Slice { span: model.states.wait(id).span, doing: Doing::Blocked(id) });
            making.extend(slices.filter_map(|slice| judge.harm(&slice)));
        }
    }
    making.retain(|harm| harm.makes_window);
    making.sort_by_key(in_order);
    making.dedup_by_key(|harm| in_order(harm));
    making
}

/// All that lie in one of these spans, and few others, in order of time.
pub(crate) fn near(
    model: &Model<'_>,
    threads: &[ThreadId],
    options: &Options,
    mut spans: Vec<Span>,
) -> Vec<Harm> {
    /// Looked for one by one, they would cost more than what lies between.
    const MOST: u64 = 256;
    let little = Nanos(model.span.duration().0 / MOST);
    spans.sort_by_key(|span| span.start);
    let mut apart: Vec<Span> = Vec::new();
    for span in spans {
        match apart.last_mut() {
            Some(last) if span.start <= last.end.plus(little) => *last = last.hull(span),
            _ => apart.push(span),
        }
    }
    if apart.is_empty() {
        return Vec::new();
    }
    let mut near = of_each(threads, |thread| {
        let judge = Judge::new(model, thread, options);
        let (mut near, mut until) = (Vec::new(), Timestamp(0));
        for span in &apart {
            let slices = model.states.of(thread).after(span.start);
            let slices = slices.take_while(|slice| slice.span.start < span.end);
            // One that began before the last span ended was seen there.
            let slices = slices.filter(|slice| slice.span.start >= until);
            near.extend(slices.filter_map(|slice| judge.harm(&slice)));
            until = span.end;
        }
        near
    });
    near.sort_by_key(in_order);
    near
}

/// The harms of all of these threads, one after the other.
fn of_each(threads: &[ThreadId], harms: impl Fn(ThreadId) -> Vec<Harm> + Sync) -> Vec<Harm> {
    /// For so many it pays to begin a thread of one's own.
    const MANY: usize = 64;
    if threads.len() < MANY {
        return threads.iter().flat_map(|&thread| harms(thread)).collect();
    }
    at_once::each(threads, |&thread| harms(thread)).concat()
}

fn in_order(harm: &Harm) -> (Timestamp, ThreadId) {
    (harm.span.start, harm.thread)
}

/// Harms by their beginning, of which there may be a million.
pub(crate) struct InTime<'a> {
    harms: &'a [Harm],
    /// The latest end among the harms up to each.
    reach: Vec<Timestamp>,
}

impl<'a> InTime<'a> {
    pub fn new(harms: &'a [Harm]) -> Self {
        let ends = harms.iter().scan(Timestamp(0), |latest, harm| {
            *latest = harm.span.end.max(*latest);
            Some(*latest)
        });
        Self { harms, reach: ends.collect() }
    }

    /// All that may lie in a span, and few others.
    pub fn near(&self, span: Span) -> &'a [Harm] {
        let from = self.reach.partition_point(|end| *end <= span.start);
        let until = self.harms.partition_point(|harm| harm.span.start < span.end);
        self.harms.get(from..until).unwrap_or_default()
    }
}

/// Judges what one thread did.
pub(crate) struct Judge<'m, 'a> {
    model: &'m Model<'a>,
    thread: ThreadId,
    habits: Habits<'m, 'a>,
    is_helper: bool,
    long: Nanos,
}

impl<'m, 'a> Judge<'m, 'a> {
    pub fn new(model: &'m Model<'a>, thread: ThreadId, options: &Options) -> Self {
        let habits = Habits::new(model, thread);
        let is_helper = runtimes::is_helper(model, thread);
        Self { model, thread, habits, is_helper, long: long(options) }
    }

    /// The harm that a stretch of the thread's life is, if it is one.
    pub fn harm(&self, slice: &Slice) -> Option<Harm> {
        let model = self.model;
        let (cause, wait) = match slice.doing {
            Doing::Running => return None,
            // Without all switches, how long it waited for a CPU is not known.
            Doing::Runnable(_) if !model.states.comings_recorded => return None,
            Doing::Runnable(_) if slice.span.duration() < self.long => return None,
            Doing::Runnable(stack) if cpu::is_throttled(model, self.thread, stack, slice.span) => {
                (Cause::CpuThrottle, None)
            }
            Doing::Runnable(_) => (Cause::CpuStarvation, None),
            Doing::Blocked(id) => match model.sites.of(id).kind {
                WaitKind::Harm(Cause::Futex, _) if self.is_helper => return None,
                WaitKind::Harm(cause, _) => (cause, Some(id)),
                WaitKind::Idle | WaitKind::Other => return None,
            },
        };
        let series = wait.and_then(|id| model.series.of_one(id));
        let span = series.map_or(slice.span, |series| series.span);
        let makes_window =
            span.duration() >= self.long && self.habits.is_unusual(span, cause, wait);
        if !makes_window && (wait.is_none() || cause == Cause::Futex) {
            return None;
        }
        Some(Harm { thread: self.thread, span: slice.span, cause, wait, makes_window })
    }
}
