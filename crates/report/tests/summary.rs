//! The two sentences: right for every cause, and never surer than the grade.

mod sample;

use coldcase_analyze::findings::{Cause, Grade, Operation, Outcome, ThreadName, Window};
use coldcase_ingest::capture::Nanos;
use coldcase_report::window_summary;

fn window() -> Window {
    sample::incident::findings().windows.remove(1)
}

#[test]
fn the_incident() {
    assert_eq!(
        coldcase_report::summary(&sample::incident::findings()),
        "vaultdb (pid 4711) stood still for 1.18 s: 6 threads waited for mmap_lock. \
         Thread ingest-0 (tid 4719) held it in mmap of 3.36 GB (3,355,447,296 bytes) with VM_LOCKED \
         for 1.18 s."
    );
}

#[test]
fn a_folded_profile_knows_only_lower_bounds() {
    assert_eq!(
        coldcase_report::summary(&sample::folded::findings()),
        "Threads of serve and of 5 other names waited for mmap_lock for at least 7.02 s in total. \
         Thread ingest was in mmap and may have held it."
    );
}

#[test]
fn no_freeze_says_what_was_waited_for_at_most() {
    assert_eq!(
        coldcase_report::summary(&sample::quiet::findings()),
        "Nothing froze in the 3.20 s that this capture covers. \
         Threads waited most at mmap_lock (write) in munmap: 121 ms in total, at most 8.20 ms at a time."
    );
    let mut idle = sample::quiet::findings();
    idle.wait_sites.clear();
    idle.capture.span = None;
    assert_eq!(
        coldcase_report::summary(&idle),
        "Nothing froze. No thread waited at anything that a freeze is made of."
    );
}

#[test]
fn an_unexplained_freeze_names_nobody() {
    let mut findings = sample::incident::findings();
    findings.verdict.outcome = Outcome::FreezeUnexplained;
    findings.windows[1].cause = None;
    findings.windows[1].culprit = None;
    findings.windows[1].grade = Grade::Undetermined;
    assert_eq!(
        coldcase_report::summary(&findings),
        "vaultdb (pid 4711) stood still for 1.18 s: 6 threads made no progress. \
         This capture does not show the cause."
    );
}

#[test]
fn a_lock_without_a_known_holder() {
    let mut window = window();
    window.culprit = None;
    assert!(window_summary(&window).ends_with("This capture does not show who held it."));
}

#[test]
fn a_freeze_that_reaches_beyond_the_recording_is_a_lower_bound() {
    for (start, end) in [(true, false), (false, true)] {
        let mut window = window();
        (window.freeze.open_start, window.freeze.open_end) = (start, end);
        assert!(window_summary(&window).contains("stood still for at least 1.18 s"));
    }
}

#[test]
fn a_holder_from_another_process_is_named_as_such() {
    let mut window = window();
    let culprit = window.culprit.as_mut().unwrap();
    culprit.thread = sample::thread(88, 91, "smaps-reader");
    culprit.operation = Some(Operation::ProcRead);
    (culprit.bytes, culprit.flags) = (None, Vec::new());
    assert!(window_summary(&window).ends_with(
        "Thread smaps-reader (tid 91, of another process, pid 88) held it in a read of /proc \
         for 1.18 s."
    ));
}

#[test]
fn who_waited_for_the_answers_of_what_froze_is_told_with_it() {
    let mut window = window();
    (window.culprit, window.lock) = (None, None);
    (window.cause, window.freeze.threads_blocked) = (Some(Cause::MemorySyscall), 1);
    let alone = "One thread of vaultdb (pid 4711) stood still for 1.18 s, and no other is seen to have waited for it.";
    assert!(window_summary(&window).starts_with(alone));
    window.freeze.awaited_by = 6;
    assert!(window_summary(&window).starts_with(
        "One thread of vaultdb (pid 4711) stood still for 1.18 s, and 6 threads of others waited for it."
    ));
    window.cause = Some(Cause::CpuThrottle);
    assert!(window_summary(&window).starts_with(
        "vaultdb (pid 4711) stood still for 1.18 s: 1 thread wanted to run and got no CPU, and 6 threads of others waited \
         for it. "
    ));
}

#[test]
fn what_freezes_a_process_that_dumps_its_core_is_named_whatever_call_it_stood_in() {
    let mut window = window();
    (window.culprit, window.lock) = (None, None);
    window.cause = Some(Cause::Stopped);
    window.chain[0].site = "frozen by the dump of its core in exit".to_owned();
    assert!(window_summary(&window).ends_with(
        "6 threads were frozen by the dump of its core. The cause is the dump of its core."
    ));
}

#[test]
fn a_lease_of_a_file_is_called_so() {
    let mut window = window();
    window.cause = Some(Cause::Futex);
    window.chain[0].site = "file lease".to_owned();
    assert!(window_summary(&window).contains("6 threads waited for a file lease. "));
}

#[test]
fn how_long_a_lock_was_held_is_not_taken_from_how_long_the_call_took() {
    let mut window = window();
    window.culprit.as_mut().unwrap().held = None;
    assert!(window_summary(&window).contains("VM_LOCKED, which took 1.18 s."));
}

#[test]
fn a_cause_without_a_culprit_is_named() {
    let mut window = window();
    (window.culprit, window.lock) = (None, None);
    window.cause = Some(Cause::CpuThrottle);
    window.freeze.threads_blocked = 1;
    assert_eq!(
        window_summary(&window),
        "vaultdb (pid 4711) stood still for 1.18 s: 1 thread wanted to run and got no \
         CPU. The cause is the CPU quota of the cgroup."
    );
}

#[test]
fn what_held_up_the_one_who_had_the_lock_is_told_behind_the_lock() {
    let mut window = window();
    window.culprit = None;
    window.cause = Some(Cause::DiskIo);
    assert_eq!(
        window_summary(&window),
        "vaultdb (pid 4711) stood still for 1.18 s: 6 threads waited for mmap_lock, behind one that \
         waited for a disk. The cause is the disk."
    );
    let mut window = self::window();
    window.cause = Some(Cause::Stopped);
    window.culprit.as_mut().unwrap().operation = Some(Operation::Signal);
    window.culprit.as_mut().unwrap().bytes = None;
    window.culprit.as_mut().unwrap().flags.clear();
    assert!(window_summary(&window).ends_with(
        "behind one that stood under a stop signal, a debugger or a freezer. Thread ingest-0 (tid 4719) \
         stopped the one who had it by sending a signal."
    ));
}

#[test]
fn a_frozen_file_system_is_no_lock_that_somebody_held() {
    let mut window = window();
    window.culprit = None;
    window.cause = Some(Cause::Rwsem);
    window.lock.as_mut().unwrap().kind = Cause::Futex;
    window.blame[0].doing = "blocked: frozen file system in write".to_owned();
    let begins = "vaultdb (pid 4711) stood still for 1.18 s: 6 threads";
    assert_eq!(
        window_summary(&window),
        format!(
            "{begins} waited for a lock of the program's own, behind one that waited for a frozen file system to be thawed. The \
             cause is the freeze of that file system."
        )
    );
    window.lock.as_mut().unwrap().kind = Cause::Rwsem;
    assert!(
        window_summary(&window)
            .starts_with(&format!("{begins} waited for a frozen file system to be"))
    );
    window.blame[0].doing = "blocked: inode in write".to_owned();
    assert!(window_summary(&window).ends_with("This capture does not show who held it."));
}

#[test]
fn what_a_pauses_own_threads_waited_for_is_told_of_the_pause() {
    let mut window = window();
    window.culprit = None;
    window.cause = Some(Cause::Swap);
    window.lock.as_mut().unwrap().kind = Cause::Futex;
    window.freeze.paused = true;
    assert_eq!(
        window_summary(&window),
        "vaultdb (pid 4711) stood still for 1.18 s: 6 threads stood in a pause of the Java VM, whose threads waited for memory to \
         come back from swap. The cause is memory that had been swapped out."
    );
}

/// Whatever the cause: a weak grade never states who did it.
#[test]
fn no_sentence_is_surer_than_its_grade() {
    for &cause in Cause::ALL {
        for &grade in Grade::ALL {
            let mut window = window();
            (window.cause, window.grade) = (Some(cause), grade);
            let sentences = window_summary(&window);
            let stated = sentences.contains("ingest-0 (tid 4719) held")
                || sentences.contains("ingest-0 (tid 4719) caused");
            match grade {
                Grade::Proven | Grade::Strong => {}
                Grade::Circumstantial => {
                    let hedges = [" may have ", "the likeliest cause", ". Circumstantial: "];
                    let hedged = hedges.iter().any(|words| sentences.contains(words));
                    assert!(hedged && !stated, "{sentences}");
                }
                Grade::Undetermined => {
                    assert!(sentences.contains(". Undetermined: ") && !stated, "{sentences}");
                }
            }
        }
    }
}

#[test]
fn a_deadlock_is_of_all_who_are_in_it() {
    let member = |tid: i32, comm: &str| ThreadName {
        pid: Some(4711),
        tid: Some(tid),
        comm: comm.to_owned(),
    };
    let mut window = window();
    window.cause = Some(Cause::Futex);
    window.grade = Grade::Circumstantial;
    window.culprit = None;
    window.deadlock = vec![member(4720, "left"), member(4721, "right")];
    let told = window_summary(&window);
    let expected =
        "Threads left (tid 4720) and right (tid 4721) waited for each other's locks: a deadlock.";
    assert!(told.ends_with(expected), "{told}");
    window.deadlock.push(member(4722, "middle"));
    let told = window_summary(&window);
    let expected = "Threads left (tid 4720), right (tid 4721) and middle (tid 4722) waited for each other's locks in a circle: \
                    a deadlock.";
    assert!(told.ends_with(expected), "{told}");
}

#[test]
fn an_answer_that_came_late_for_want_of_a_cpu_says_so() {
    let mut window = window();
    window.cause = Some(Cause::Network);
    window.grade = Grade::Circumstantial;
    window.culprit = None;
    window.lock = None;
    let end = ThreadName { pid: Some(5000), tid: Some(5000), comm: "backend".to_owned() };
    window.starved_end = Some((end, Nanos(321_000_000)));
    let told = window_summary(&window);
    let expected = "Circumstantial: the other end, backend (of another process, pid 5000), wanted a CPU and got none for 321 ms.";
    assert!(told.ends_with(expected), "{told}");
}
