//! What a log of system calls beside the capture adds, and how far its clock can be trusted.

use coldcase_ingest::capture::{Capture, Meaning, Nanos};

use crate::findings::{Culprit, Grade, Operation, Window};
use crate::sites::brackets::{Bracket, Brackets};
use crate::sites::memory::{self, BrkSizes};
use crate::sites::operation::is_memory;
use crate::view;

/// To map, fill or free a byte takes a fraction of a nanosecond, and some nanoseconds where memory is short. A call that took longer
/// than this for each of its bytes waited itself.
const SLOWEST_NANOS_PER_BYTE: u64 = 25;
/// The clocks' difference counts if it is more than this part of the freeze.
const MATTERS: f64 = 0.25;

/// Lowers the grade of windows whose culprit's call was placed by a clock that may be off by a good part of the freeze.
pub(crate) fn doubt(capture: &Capture, windows: &mut [Window]) {
    let Some(uncertainty) = capture.log_uncertainty else { return };
    for window in windows {
        let length = window.freeze.span.map_or(Nanos::ZERO, |span| span.duration());
        let by_log = window.culprit.as_ref().is_some_and(|culprit| culprit.bytes.is_some());
        if by_log && window.grade < Grade::Circumstantial && uncertainty.share_of(length) > MATTERS
        {
            window.grade = Grade::Circumstantial;
            let doubt = format!(
                "the log of system calls and the capture may be apart by {:.1} ms, which is much for a freeze of this length",
                uncertainty.as_millis_f64()
            );
            window.evidence.push(doubt.into());
        }
    }
}

/// The call beside a profile behind which others waited: they began after it, ended with it, and it moved enough memory to have taken its
/// time. Where the log has no such calls of others (it may leave small ones out), the profile's sums at the lock have to fit: `waited`, by
/// name.
pub(crate) fn culprit(capture: &Capture, waited: &[Nanos]) -> Option<(Culprit, String)> {
    if !capture.recorded(Meaning::MemorySyscalls) {
        return None;
    }
    let brackets = Brackets::new(capture);
    let brk = BrkSizes::new(capture, &brackets);
    let long: Vec<(&Bracket, Nanos)> = brackets
        .iter()
        .filter(|call| is_memory(Operation::Syscall(call.syscall)))
        .filter_map(|call| Some((call, call.duration()?)))
        .filter(|(_, duration)| *duration >= Nanos::from_millis(50))
        .collect();
    let behind = |(holder, _): &(&Bracket, Nanos)| {
        let others = long.iter().filter(|(call, _)| call.thread != holder.thread);
        let times =
            others.filter(|(call, _)| waited_behind(call, holder)).map(|(_, duration)| *duration);
        times.fold((0_u32, Nanos::ZERO), |(count, sum), time| (count + 1, sum + time))
    };
    let able = long.iter().filter(|(call, duration)| {
        let bytes = memory::bytes(call, &brk).unwrap_or(0);
        duration.0 <= bytes.saturating_mul(SLOWEST_NANOS_PER_BYTE)
    });
    let (&(call, duration), (count, _)) =
        able.map(|call| (call, behind(call))).max_by_key(|(call, (_, sum))| (*sum, call.1))?;
    let operation = Operation::Syscall(call.syscall);
    let word = operation.word();
    let evidence = if count > 0 {
        format!(
            "in the log of system calls, memory calls of {count} other threads began after this {word} and ended with it"
        )
    } else {
        let as_long = waited.iter().filter(|time| time.0 >= duration.0 / 10 * 9).count();
        let all: Nanos = waited.iter().copied().sum();
        if as_long == 0 || all.0 < duration.0 / 10 * 18 {
            return None;
        }
        format!(
            "the log of system calls has this {word}, and {as_long} threads of the profile waited at least as long as it took"
        )
    };
    let culprit = Culprit {
        operation: Some(operation),
        bytes: memory::bytes(call, &brk),
        flags: memory::flags(call),
        duration: Some(duration),
        ..Culprit::without_call(view::thread_name(capture, call.thread), Vec::new())
    };
    Some((culprit, evidence))
}

/// Whether a call may have waited for the end of another: it began later, and ended within a twentieth of the time before or after.
fn waited_behind(call: &Bracket, holder: &Bracket) -> bool {
    let times = (call.enter, call.exit, holder.enter, holder.exit);
    let (Some(enter), Some(exit), Some(began), Some(ended)) = times else { return false };
    let slack = ended.since(began).0 / 20;
    began < enter && enter < ended && exit.0.abs_diff(ended.0) <= slack
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Span, Timestamp};

    use super::*;
    use crate::findings::{Cause, Freeze, ThreadName};

    /// A freeze of a second, by a call of this many bytes.
    fn window(grade: Grade, bytes: Option<u64>) -> Window {
        let span = Span::new(Timestamp(0), Timestamp(1_000_000_000));
        let thread = ThreadName { pid: Some(1), tid: Some(1), comm: "main".to_owned() };
        let culprit = Culprit { bytes, ..Culprit::without_call(thread, Vec::new()) };
        Window {
            cause: Some(Cause::MmapLock),
            grade,
            reasons: Vec::new(),
            evidence: Vec::new(),
            freeze: Freeze::of_one(Some(1), "main", span),
            lock: None,
            culprit: Some(culprit),
            blame: Vec::new(),
            chain: Vec::new(),
            deadlock: Vec::new(),
            starved_end: None,
            without_culprit: None,
            remedies: Vec::new(),
        }
    }

    /// The grades that are left where clocks are apart by so much.
    fn doubted(uncertainty: Option<u64>, windows: &mut [Window]) -> Vec<Grade> {
        let log_uncertainty = uncertainty.map(Nanos::from_millis);
        doubt(&Capture { log_uncertainty, ..Capture::default() }, windows);
        windows.iter().map(|window| window.grade).collect()
    }

    #[test]
    fn a_clock_that_is_off_by_a_quarter_of_the_freeze_lowers_the_grade() {
        let of = |grade| [window(grade, Some(1 << 30))];
        assert_eq!(doubted(Some(251), &mut of(Grade::Strong)), [Grade::Circumstantial]);
        assert_eq!(doubted(Some(251), &mut of(Grade::Proven)), [Grade::Circumstantial]);
        assert_eq!(doubted(Some(249), &mut of(Grade::Strong)), [Grade::Strong]);
        assert_eq!(doubted(None, &mut of(Grade::Strong)), [Grade::Strong]);
        assert_eq!(doubted(Some(251), &mut of(Grade::Undetermined)), [Grade::Undetermined]);
    }

    #[test]
    fn a_freeze_that_owes_nothing_to_the_log_keeps_its_grade() {
        let mut windows = [window(Grade::Strong, None), window(Grade::Strong, Some(4096))];
        assert_eq!(doubted(Some(900), &mut windows), [Grade::Strong, Grade::Circumstantial]);
        assert!(windows[0].evidence.is_empty());
        assert!(windows[1].evidence[0].contains("apart by 900.0 ms"), "{:?}", windows[1].evidence);
    }
}
