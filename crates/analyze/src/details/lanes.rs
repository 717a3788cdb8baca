//! What threads did, in as much detail as can be drawn.
//!
//! A capture of minutes has millions of slices in the lanes of a freeze, at 40 bytes each more than all else that is kept
//! of it, and a picture has a thousand columns. So where they are many, what is too short to be seen is merged with its
//! neighbours, the more the further away from the freeze:
//!
//! ```text
//!   slices    |#|-|#|-|#|==========|-|#|-|
//!   segments  |#########|==========|-----|
//! ```

use std::sync::Arc;

use coldcase_ingest::capture::{Nanos, Span, ThreadId};

use crate::at_once;
use crate::details::Short;
use crate::findings::{Segment, SegmentState};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::sites::Site;
use crate::states::{Doing, Slice};

/// So many segments are kept of all threads: some 16 MB, and several times as many as a page draws.
const MOST: usize = 400_000;
/// The part of what is shown first that is certainly too short to be seen outside of it.
const TOO_SHORT: u64 = 8_000;
/// In what is shown first, stretches are merged that are so much shorter.
const FINER: u64 = 4;

/// What these threads did, thread by thread, in order of time: all of it, or, where that is too much, in as much detail as
/// there is room for.
pub(crate) fn segments(model: &Model<'_>, threads: &[ThreadId], shown: Span) -> Vec<Vec<Segment>> {
    let names = names(model);
    let slices: usize = threads.iter().map(|&thread| model.states.of(thread).len()).sum();
    let mut grain = Nanos::ZERO;
    if slices > MOST {
        // Just coarse enough for threads that are busy all along; to try finer ones takes longer than they are worth.
        let total = model.span.duration().0.saturating_mul(threads.len() as u64);
        grain = Nanos((total / MOST as u64).max(shown.duration().0 / TOO_SHORT));
    }
    loop {
        let most = if grain < model.span.duration() { MOST } else { usize::MAX };
        let lanes =
            at_once::each(threads, |&thread| merged(model, thread, &names, (shown, grain), most));
        let lanes: Option<Vec<Vec<Segment>>> = lanes.into_iter().collect();
        let fits = |lanes: &Vec<Vec<Segment>>| lanes.iter().map(Vec::len).sum::<usize>() <= most;
        match lanes.filter(fits) {
            Some(lanes) => return lanes,
            None => grain = Nanos((grain.0 * 2).max(1)),
        }
    }
}

/// What a thread did, with stretches shorter than a grain merged; `None` if that is more than `most`.
fn merged(
    model: &Model<'_>,
    thread: ThreadId,
    names: &[Arc<str>],
    (shown, grain): (Span, Nanos),
    most: usize,
) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut short = Short::default();
    for slice in model.states.of(thread).iter() {
        let is_shown = slice.span.intersect(shown).is_some();
        let least = if is_shown { Nanos(grain.0 / FINER) } else { grain };
        let is_long = slice.span.duration() >= least;
        if is_long || short.ends_before(slice.span, least) {
            segments.extend(short.take().map(of_several));
        }
        let (state, site) = state(model, &slice);
        if is_long {
            let site = site.map(|site| Arc::clone(&names[site.number() as usize]));
            segments.push(Segment { span: slice.span, state, site });
        } else {
            short.add(slice.span, state);
        }
        if segments.len() >= most {
            return None;
        }
    }
    segments.extend(short.take().map(of_several));
    Some(segments)
}

fn of_several((span, state): (Span, SegmentState)) -> Segment {
    Segment { span, state, site: None }
}

fn state<'m>(model: &'m Model<'_>, slice: &Slice) -> (SegmentState, Option<&'m Site>) {
    match slice.doing {
        Doing::Running => (SegmentState::OnCpu, None),
        Doing::Runnable(_) => (SegmentState::Runnable, None),
        Doing::Blocked(id) => {
            let site = model.sites.of(id);
            let state = match site.kind {
                WaitKind::Harm(cause, _) => SegmentState::Blocked(cause),
                WaitKind::Idle | WaitKind::Other => SegmentState::Idle,
            };
            (state, Some(site))
        }
    }
}

/// Names of sites by their numbers, each made once.
fn names(model: &Model<'_>) -> Vec<Arc<str>> {
    model.sites.names().iter().map(|name| Arc::from(name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Timestamp};

    use super::*;
    use crate::script;

    fn drawn(segments: &[Segment]) -> Vec<(u64, u64, SegmentState)> {
        segments.iter().map(|it| (it.span.start.0, it.span.end.0, it.state)).collect()
    }

    #[test]
    fn what_is_too_short_to_be_seen_is_merged_and_what_can_be_seen_stays() {
        let sleeps = "schedule<do_nanosleep<hrtimer_nanosleep";
        let at = |from: u64| format!("{from} a>- S {sleeps},{} ->a", from + 3);
        // Ten short rounds, a long rest, and as many rounds in what is shown.
        let rounds =
            (0..10).map(|n| at(10 * n + 10)).chain([format!("110 a>- S {sleeps},900 ->a")]);
        let rounds =
            rounds.chain((0..10).map(|n| at(10 * n + 1000))).chain(["1100 a>-".to_owned()]);
        let events = format!("0 .a,{}", rounds.collect::<Vec<_>>().join(","));
        let mut capture = script::record(Capture::default(), &events);
        let thread = script::thread(&mut capture, "a");
        let model = script::model(&capture);
        let shown = Span::new(Timestamp(950), Timestamp(1100));
        let lane = |grain| merged(&model, thread, &names(&model), (shown, Nanos(grain)), 100);
        let all = lane(0).unwrap();
        assert_eq!(all.len(), 43);
        let (run, rest) = (SegmentState::OnCpu, SegmentState::Idle);
        let merged = drawn(&lane(40).unwrap());
        // A round takes 3 and 7.
        let before = [(0, 40, run), (40, 80, run), (80, 110, run), (110, 900, rest)];
        assert_eq!(merged[..4], before);
        // A fourth as long is long enough there.
        assert_eq!(merged[4..6], [(900, 1000, run), (1000, 1010, run)]);
        assert!(drawn(&all).ends_with(&[(1093, 1100, run)]));
        let sites = |segments: &[Segment]| segments.iter().filter(|it| it.site.is_some()).count();
        assert_eq!((sites(&all), sites(&lane(40).unwrap())), (21, 1));
    }

    #[test]
    fn more_than_there_is_room_for_is_none() {
        let events = "0 .a,10 a>- S schedule,20 ->a,30 a>- S schedule,40 ->a,50 a>-";
        let mut capture = script::record(Capture::default(), events);
        let thread = script::thread(&mut capture, "a");
        let model = script::model(&capture);
        let names = names(&model);
        let fits = |most| merged(&model, thread, &names, (model.span, Nanos(0)), most);
        assert!(fits(4).is_none());
        assert_eq!(fits(6).map(|lane| lane.len()), Some(5));
        let lanes = segments(&model, &[thread], model.span);
        assert_eq!(Some(&lanes[0]), fits(6).as_ref());
    }
}
