//! Made-up truths and verdicts. Times in seconds:
//!
//! ```text
//! true    1 |---- first ----| 2        3 |---- second ----| 4
//! ```

use coldcase_analyze::findings::Grade;

use super::*;

fn freeze(start: f64, cause: &str, tid: Option<i32>) -> TrueFreeze {
    TrueFreeze {
        start_s: start,
        end_s: start + 1.0,
        ms: 1000.0,
        cause: cause.to_owned(),
        pid: tid.map(|_| 10),
        tid,
        comm: tid.map(|_| "main".to_owned()),
        operation: tid.map(|_| "munmap".to_owned()),
        bytes: tid.map(|_| 4096),
        threads_blocked: 6,
        blocked_ms: 6000.0,
        other_causes: Vec::new(),
        other_operations: Vec::new(),
    }
}

fn truth(freezes: Vec<TrueFreeze>) -> Truth {
    Truth { server_pid: Some(10), freezes, ..Truth::default() }
}

fn two() -> Truth {
    truth(vec![freeze(1.0, "mmap_lock", Some(11)), freeze(3.0, "futex", Some(12))])
}

fn told(span: (f64, f64), cause: Option<&'static str>, tid: Option<i32>) -> ToldFreeze {
    ToldFreeze {
        pid: Some(10),
        comm: "server".to_owned(),
        span: Some(span),
        cause,
        grade: Grade::Strong,
        culprit: tid.map(|tid| ToldCulprit {
            pid: Some(10),
            tid: Some(tid),
            comm: "main".to_owned(),
            operation: Some("munmap"),
            bytes: Some(4096),
        }),
        threads_blocked: 6,
        blocked_ms: 6000.0,
        blame: Vec::new(),
    }
}

/// What is said of each freeze.
fn judged(truth: &Truth, freezes: Vec<ToldFreeze>) -> Vec<Judgement> {
    let told = Told { no_freeze: freezes.is_empty(), cannot_tell: Vec::new(), freezes };
    rows(truth, None, &told).into_iter().map(|row| row.judgement).collect()
}

fn one(truth: TrueFreeze, told: ToldFreeze) -> Judgement {
    let judged = judged(&self::truth(vec![truth]), vec![told]);
    assert_eq!(judged.len(), 1);
    judged[0].clone()
}

#[test]
fn freezes_meet_by_their_time() {
    let first = told((1.1, 2.1), Some("mmap_lock"), Some(11));
    let second = told((2.9, 4.0), Some("futex"), Some(12));
    assert_eq!(judged(&two(), vec![first.clone(), second]), [Judgement::Right, Judgement::Right]);
    assert_eq!(judged(&two(), vec![first]), [Judgement::Right, Judgement::Missed]);
    let piece = told((1.7, 2.0), Some("mmap_lock"), Some(11));
    assert_eq!(judged(&two(), vec![piece]), [Judgement::Right, Judgement::Missed]);
    let swapped = vec![
        told((1.0, 2.0), Some("futex"), Some(12)),
        told((3.0, 4.0), Some("mmap_lock"), Some(11)),
    ];
    let both = Judgement::Wrong(vec![Fault::Cause, Fault::Culprit]);
    assert_eq!(judged(&two(), swapped), [both.clone(), both]);
}

#[test]
fn one_verdict_on_two_freezes_is_right_of_one_of_them_only() {
    let across = told((1.0, 3.9), Some("mmap_lock"), Some(11));
    let both = Judgement::Wrong(vec![Fault::Cause, Fault::Culprit]);
    assert_eq!(judged(&two(), vec![across]), [Judgement::Right, both]);
}

#[test]
fn freezes_of_one_kind_may_be_told_as_one() {
    let quota = || vec![freeze(1.0, "cpu_throttle", None), freeze(3.0, "cpu_throttle", None)];
    let across = Told {
        no_freeze: false,
        cannot_tell: Vec::new(),
        freezes: vec![told((1.0, 4.0), Some("cpu_throttle"), None)],
    };
    let rows = rows(&truth(quota()), None, &across);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].judgement, Judgement::Right);
    assert_eq!(rows[0].seen, Some((1.0, 4.0)));
    let one = vec![told((1.0, 2.0), Some("cpu_throttle"), None)];
    assert_eq!(judged(&truth(quota()), one), [Judgement::Right, Judgement::Missed]);
}

#[test]
fn to_say_less_is_right() {
    let lock = || freeze(1.0, "mmap_lock", Some(11));
    let mut less = told((1.0, 2.0), Some("mmap_lock"), Some(11));
    less.threads_blocked = 2;
    less.culprit.as_mut().unwrap().bytes = None;
    assert_eq!(one(lock(), less.clone()), Judgement::Right);
    less.culprit.as_mut().unwrap().operation = None;
    assert_eq!(one(lock(), less.clone()), Judgement::Right);
    less.culprit = None;
    assert_eq!(one(lock(), less.clone()), Judgement::Right);
    less.cause = None;
    assert_eq!(one(lock(), less), Judgement::CannotTell);
}

#[test]
fn to_say_anything_else_is_wrong() {
    let lock = || freeze(1.0, "mmap_lock", Some(11));
    let all = told((1.0, 2.0), Some("mmap_lock"), Some(11));
    let mut other = all.clone();
    other.cause = Some("futex");
    assert_eq!(one(lock(), other), Judgement::Wrong(vec![Fault::Cause]));
    let mut other = all.clone();
    other.culprit.as_mut().unwrap().tid = Some(12);
    assert_eq!(one(lock(), other), Judgement::Wrong(vec![Fault::Culprit]));
    let mut other = all.clone();
    other.culprit.as_mut().unwrap().operation = Some("mmap");
    assert_eq!(one(lock(), other), Judgement::Wrong(vec![Fault::Operation]));
    let mut other = all;
    other.culprit.as_mut().unwrap().bytes = Some(8192);
    assert_eq!(one(lock(), other), Judgement::Wrong(vec![Fault::Bytes]));
}

#[test]
fn a_culprit_without_a_cause_can_be_wrong_too() {
    let lock = freeze(1.0, "mmap_lock", Some(11));
    let blamed = told((1.0, 2.0), None, Some(12));
    assert_eq!(one(lock, blamed), Judgement::Wrong(vec![Fault::Culprit]));
}

#[test]
fn where_nobody_is_to_blame_nobody_may_be_named() {
    let disk = || freeze(1.0, "disk_io", None);
    assert_eq!(one(disk(), told((1.0, 2.0), Some("disk_io"), None)), Judgement::Right);
    let blamed = told((1.0, 2.0), Some("disk_io"), Some(11));
    assert_eq!(one(disk(), blamed), Judgement::Wrong(vec![Fault::Culprit]));
}

#[test]
fn of_a_process_that_is_to_blame_any_thread_will_do() {
    let starved = |pid| TrueFreeze { pid: Some(pid), ..freeze(1.0, "cpu_starvation", None) };
    let blamed = || told((1.0, 2.0), Some("cpu_starvation"), Some(11));
    assert_eq!(one(starved(10), blamed()), Judgement::Right);
    assert_eq!(one(starved(20), blamed()), Judgement::Wrong(vec![Fault::Culprit]));
}

#[test]
fn other_words_are_right_where_they_are_allowed() {
    let mut inode = freeze(1.0, "rwsem", Some(11));
    let disk = || told((1.0, 2.0), Some("disk_io"), Some(11));
    assert_eq!(one(inode.clone(), disk()), Judgement::Wrong(vec![Fault::Cause]));
    inode.other_causes = vec!["rwsem".to_owned(), "disk_io".to_owned()];
    assert_eq!(one(inode.clone(), disk()), Judgement::Right);
    inode.operation = Some("fork".to_owned());
    assert_eq!(one(inode.clone(), disk()), Judgement::Wrong(vec![Fault::Operation]));
    inode.other_operations = vec!["munmap".to_owned()];
    assert_eq!(one(inode, disk()), Judgement::Right);
}

#[test]
fn silence_is_a_miss_only_where_somebody_stood_still() {
    let lock = || freeze(1.0, "mmap_lock", Some(11));
    assert_eq!(judged(&truth(vec![lock()]), Vec::new()), [Judgement::Missed]);
    let short = TrueFreeze { ms: 44.0, ..lock() };
    assert_eq!(judged(&truth(vec![short]), Vec::new()), [Judgement::RightlySilent]);
    let alone = TrueFreeze { threads_blocked: 0, ..lock() };
    assert_eq!(judged(&truth(vec![alone]), Vec::new()), [Judgement::RightlySilent]);
    let nothing = Told { no_freeze: false, cannot_tell: Vec::new(), freezes: Vec::new() };
    assert_eq!(rows(&truth(vec![lock()]), None, &nothing)[0].judgement, Judgement::CannotTell);
}

#[test]
fn what_a_capture_is_said_not_to_tell_is_no_miss_and_its_absence_is() {
    let both = truth(vec![freeze(1.0, "mmap_lock", Some(11)), freeze(3.0, "futex", Some(11))]);
    let of = |no_freeze, cannot_tell| {
        let freezes =
            if no_freeze { Vec::new() } else { vec![told((1.0, 2.0), Some("mmap_lock"), None)] };
        let told = Told { no_freeze, cannot_tell, freezes };
        rows(&both, None, &told).into_iter().map(|row| row.judgement).next_back()
    };
    assert_eq!(of(false, vec!["futex"]), Some(Judgement::CannotTell));
    assert_eq!(of(false, vec!["disk_io"]), Some(Judgement::Missed));
    assert_eq!(of(true, vec!["futex"]), Some(Judgement::Missed));
}

#[test]
fn what_nobody_measured_is_invented_or_not_judged() {
    let calm = truth(Vec::new());
    assert_eq!(judged(&calm, Vec::new()), [Judgement::RightlySilent]);
    let mut other = told((1.0, 2.0), Some("futex"), None);
    other.pid = Some(20);
    assert_eq!(judged(&calm, vec![other.clone()]), [Judgement::Invented]);
    let lock = truth(vec![freeze(1.0, "mmap_lock", Some(11))]);
    assert_eq!(judged(&lock, vec![other]), [Judgement::Missed, Judgement::Unmeasured]);
    let earlier = told((0.0, 0.5), Some("futex"), None);
    assert_eq!(judged(&lock, vec![earlier]), [Judgement::Missed, Judgement::Invented]);
}

#[test]
fn a_profile_without_times_tells_of_all_at_once() {
    let mut profile = told((0.0, 0.0), Some("mmap_lock"), None);
    profile.span = None;
    let again = TrueFreeze { ms: 90.0, ..freeze(3.0, "mmap_lock", Some(11)) };
    let lock = truth(vec![freeze(1.0, "mmap_lock", Some(11)), again]);
    assert_eq!(judged(&lock, vec![profile]), [Judgement::Right]);
}

#[test]
fn of_a_freeze_the_part_in_the_capture_is_seen() {
    let extent = Extent { first_sample_s: 1.4, last_sample_s: 9.0 };
    let told = Told {
        no_freeze: false,
        cannot_tell: Vec::new(),
        freezes: vec![told((1.4, 2.0), Some("mmap_lock"), None)],
    };
    let lock = truth(vec![freeze(1.0, "mmap_lock", Some(11))]);
    assert_eq!(rows(&lock, Some(extent), &told)[0].seen, Some((1.4, 2.0)));
}
