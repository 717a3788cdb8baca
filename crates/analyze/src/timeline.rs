//! The threads concerned, against time; and off-CPU time by stack.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Nanos, Span, StackId, ThreadId};

use crate::findings::{Cause, FoldedStack, Lane, Role, Segment, SegmentState, Timeline, Window};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::thread_state::Doing;
use crate::view::{frame_label, thread_name};
use crate::windows::RawWindow;

/// More lanes than this nobody reads.
const MAX_LANES: usize = 64;

/// The worst window, with as much again around it.
pub(crate) fn around(
    model: &Model<'_>,
    raw: &RawWindow,
    window: &Window,
    all: &[RawWindow],
) -> Timeline {
    let margin = Nanos((raw.span.duration().0 / 3).max(20_000_000));
    let wide = Span::new(raw.span.start.minus(margin), raw.span.end.plus(margin));
    let span = wide.intersect(model.span).unwrap_or(raw.span);
    let culprit = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
    let threads = &model.capture.threads;
    let mut order: Vec<(Role, Nanos, ThreadId)> = raw
        .crew
        .iter()
        .map(|&thread| {
            let role = match threads.get(thread).tid {
                tid if Some(tid) == culprit => Role::Culprit,
                tid if is_accomplice(window, tid) => Role::Accomplice,
                _ if raw.threads.contains(&thread) => Role::Victim,
                _ if rests(model, thread, raw.span) => Role::Idle,
                _ => Role::Bystander,
            };
            let own = raw.harms.iter().filter(|harm| harm.thread == thread);
            (role, own.map(|harm| harm.span.duration()).sum(), thread)
        })
        .collect();
    // A culprit in another process belongs into the picture too.
    let foreign = threads.iter().find(|(_, row)| Some(row.tid) == culprit).map(|(id, _)| id);
    if let Some(id) = foreign
        && !order.iter().any(|(role, ..)| *role == Role::Culprit)
    {
        order.push((Role::Culprit, Nanos::ZERO, id));
    }
    order.sort_by_key(|&(role, time, thread)| (role as u8, std::cmp::Reverse(time), thread));
    let lanes = order.into_iter().map(|(role, _, thread)| Lane {
        thread: thread_name(model.capture, thread),
        role,
        segments: segments(model, thread, span),
    });
    let lanes = lanes.filter(|lane| !lane.segments.is_empty()).take(MAX_LANES).collect();
    let windows = all.iter().filter_map(|other| other.span.intersect(span)).collect();
    Timeline { span, windows, lanes }
}

/// Whether a good part of the waiting ends at a thread, though not as much as at the culprit.
fn is_accomplice(window: &Window, tid: i32) -> bool {
    const GOOD_PART: f64 = 0.1;
    let own = window
        .blame
        .iter()
        .filter(|row| row.thread.as_ref().is_some_and(|thread| thread.tid == Some(tid)));
    let time: Nanos = own.map(|row| row.time).sum();
    window.culprit.is_some() && time.share_of(window.freeze.blocked) >= GOOD_PART
}

/// Whether a thread waited for work through a span.
fn rests(model: &Model<'_>, thread: ThreadId, span: Span) -> bool {
    let resting = model.states.time(thread, span, |doing| match doing {
        Doing::Blocked(id) => {
            matches!(model.sites.of(id).kind, WaitKind::Idle | WaitKind::Harm(Cause::Futex, _))
        }
        Doing::Running | Doing::Runnable(_) => false,
    });
    resting.share_of(span.duration()) > 0.9
}

fn segments(model: &Model<'_>, thread: ThreadId, span: Span) -> Vec<Segment> {
    let slices = model.states.within(thread, span);
    slices
        .map(|slice| {
            let (state, site) = match slice.doing {
                Doing::Running => (SegmentState::OnCpu, None),
                Doing::Runnable(_) => (SegmentState::Runnable, None),
                Doing::Blocked(id) => {
                    let site = model.sites.of(id);
                    let state = match site.kind {
                        WaitKind::Harm(cause, _) => SegmentState::Blocked(cause),
                        WaitKind::Idle | WaitKind::Other => SegmentState::Idle,
                    };
                    (state, Some(model.sites.name(site).to_owned()))
                }
            };
            Segment { span: slice.span, state, site }
        })
        .collect()
}

/// Blocked time by stack: of the window's process in the window, or of all that does not rest.
pub(crate) fn off_cpu(model: &Model<'_>, window: Option<&RawWindow>) -> Vec<FoldedStack> {
    let mut times: BTreeMap<(&str, StackId), Nanos> = BTreeMap::new();
    let threads = &model.capture.threads;
    for (id, wait) in model.states.waits() {
        let thread = threads.get(wait.thread);
        let time = match window {
            Some(window) if !window.crew.contains(&wait.thread) => continue,
            Some(window) => wait.span.overlap(window.span),
            None if threads.process(thread.process).kernel => continue,
            None if model.sites.of(id).kind == WaitKind::Idle => continue,
            None => wait.span.duration(),
        };
        if let Some(stack) = wait.stack.filter(|_| time > Nanos::ZERO) {
            *times.entry((thread.comm(), stack)).or_default() += time;
        }
    }
    fold(model.capture, times)
}

/// Stacks with their time as frames with names.
pub(crate) fn fold(
    capture: &coldcase_ingest::capture::Capture,
    times: BTreeMap<(&str, StackId), Nanos>,
) -> Vec<FoldedStack> {
    let mut folded: BTreeMap<Vec<String>, Nanos> = BTreeMap::new();
    for ((comm, stack), time) in times {
        let ids = capture.stacks.frames(stack).iter().rev();
        let frames = ids.flat_map(|&id| frame_label(capture, capture.frames.get(id)));
        let frames = std::iter::once(comm.to_owned()).chain(frames).collect();
        *folded.entry(frames).or_default() += time;
    }
    folded.into_iter().map(|(frames, time)| FoldedStack { frames, time }).collect()
}
