//! Threads and what they were doing, in words.

use coldcase_analyze::findings::{Counterfactual, Culprit, Operation, ThreadName, Window};
use coldcase_ingest::capture::Nanos;

use crate::{names, units};

/// `worker-3 (tid 4719)`; with its process where that is not `home`.
pub(crate) fn thread(thread: &ThreadName, home: Option<i32>) -> String {
    let name = names::name(&thread.comm);
    let foreign = thread.pid.filter(|pid| home.is_some_and(|home| home != *pid));
    match (thread.tid, foreign) {
        (Some(tid), Some(pid)) if tid != pid => {
            format!("{name} (tid {tid}, of another process, pid {pid})")
        }
        (None, Some(pid)) => format!("{name} (pid {pid})"),
        (Some(_), Some(pid)) => format!("{name} (of another process, pid {pid})"),
        (Some(tid), None) => format!("{name} (tid {tid})"),
        (None, None) => name,
    }
}

/// `worker-3 (tid 4719)`, or `perf (tid 91, pid 88)` from another process: for narrow columns.
pub(crate) fn thread_in_table(thread: &ThreadName, home: Option<i32>) -> String {
    let name = names::name(&thread.comm);
    match (thread.tid, thread.pid) {
        (Some(tid), Some(pid)) if home != Some(pid) && tid != pid => {
            format!("{name} (tid {tid}, pid {pid})")
        }
        (Some(_), Some(pid)) if home != Some(pid) => format!("{name} (pid {pid})"),
        (Some(tid), _) => format!("{name} (tid {tid})"),
        (None, Some(pid)) => format!("{name} (pid {pid})"),
        (None, None) => name,
    }
}

/// When a culprit's call began: `1.49 ms before the freeze began (14156.720683 s on the capture's clock)`.
pub(crate) fn began(window: &Window, culprit: &Culprit) -> Option<String> {
    let at = culprit.start?;
    let latest = if culprit.start_is_latest() { "at the latest " } else { "" };
    let Some(freeze) = window.freeze.span else {
        return Some(format!("{latest}{at} s on the capture's clock"));
    };
    let when = match (freeze.start.since(at), at.since(freeze.start)) {
        (Nanos::ZERO, Nanos::ZERO) => "as the freeze began".to_owned(),
        (Nanos::ZERO, after) => format!("{} after the freeze began", units::duration(after)),
        (before, _) => format!("{} before the freeze began", units::duration(before)),
    };
    Some(format!("{latest}{when} ({at} s on the capture's clock)"))
}

/// `worker-3 4719`: for labels where space is short.
pub(crate) fn thread_short(thread: &ThreadName) -> String {
    let name = names::name(&thread.comm);
    thread.tid.map_or(name.clone(), |tid| format!("{name} {tid}"))
}

/// What a call is named in a sentence or a table.
pub(crate) fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Syscall(syscall) => syscall.name(),
        Operation::PageFault => "a page fault",
        Operation::ProcRead => "a read of /proc",
        Operation::Khugepaged => "khugepaged's making of a huge page",
        Operation::NumaBalancing => "NUMA balancing",
        Operation::UserLock => "a lock of the program's own",
        Operation::RuntimePause => "a pause of the Java VM",
        Operation::LateToPause => "a loop or call without a look whether to stop",
        Operation::Signal => "the sending of a signal",
    }
}

/// What the culprit did, below its name: `in mmap`.
pub(crate) fn deed_short(call: Operation, flags: &[String]) -> String {
    match call {
        Operation::UserLock => "held the lock".to_owned(),
        Operation::RuntimePause => "made the pause".to_owned(),
        Operation::LateToPause => "came late to the pause".to_owned(),
        Operation::Signal => format!("sent {}", signal(flags)),
        call => format!("in {}", operation(call)),
    }
}

/// Which signal was sent: the flag of the call that sends one.
pub(crate) fn signal(flags: &[String]) -> String {
    flags.first().map_or_else(|| "a signal".to_owned(), |name| names::name(name))
}

/// On the moment in which a stop was ended; by SIGCONT as a rule, and by SIGKILL too.
pub(crate) const WENT_ON: &str = "woke them by a signal";

/// On the moment in which a signal was sent.
fn sent(signal: &str) -> String {
    format!("{signal} sent")
}

/// What would have been left of a freeze without its culprit's hold.
pub(crate) fn without_culprit(window: &Window, left: Counterfactual) -> String {
    let longest = match left.longest {
        Nanos::ZERO => "no thread would have stood still".to_owned(),
        longest => format!(
            "no thread would have stood still for more than some {}",
            units::duration(longest)
        ),
    };
    let (recovered, waited) = (left.recovered, window.freeze.blocked);
    format!(
        "{longest}, and {} of the {} waited would not have \
         been lost",
        units::duration(recovered),
        units::duration(waited)
    )
}

/// `mmap 3.36 GB MAP_POPULATE`: for labels in pictures.
pub(crate) fn operation_sized(call: Operation, bytes: Option<u64>, flags: &[String]) -> String {
    if call == Operation::Signal {
        return sent(&signal(flags));
    }
    let mut label = operation(call).to_owned();
    if let Some(bytes) = bytes {
        label.push(' ');
        label.push_str(&units::size(bytes));
    }
    for flag in telling(flags) {
        label.push(' ');
        label.push_str(&names::name(flag));
    }
    label
}

/// `in mmap of 3.36 GB (3,355,447,296 bytes) with MAP_POPULATE`, if the call is known.
pub(super) fn in_call(culprit: &Culprit) -> Option<String> {
    // Whoever holds a lock of the program is inside of it.
    let call = culprit.operation.filter(|call| *call != Operation::UserLock)?;
    if call == Operation::Signal {
        return Some(format!("by sending {}", signal(&culprit.flags)));
    }
    let mut text = during(call);
    if let Some(bytes) = culprit.bytes {
        text.push_str(" of ");
        text.push_str(&units::exact_size(bytes));
    }
    let flags: Vec<String> = telling(&culprit.flags).map(|flag| names::name(flag)).collect();
    if !flags.is_empty() {
        text.push_str(" with ");
        text.push_str(&flags.join(" and "));
    }
    Some(text)
}

fn during(call: Operation) -> String {
    match call {
        Operation::Khugepaged => "while making a huge page".to_owned(),
        Operation::NumaBalancing => "during NUMA balancing".to_owned(),
        Operation::RuntimePause => "for the Java VM".to_owned(),
        Operation::Syscall(_)
        | Operation::LateToPause
        | Operation::PageFault
        | Operation::ProcRead
        | Operation::Signal
        | Operation::UserLock => {
            format!("in {}", operation(call))
        }
    }
}

/// Flags that make a call long; the rest stands in the tables.
fn telling(flags: &[String]) -> impl Iterator<Item = &String> {
    const EVERYDAY: [&str; 7] = [
        "MAP_PRIVATE",
        "MAP_ANONYMOUS",
        "MAP_SHARED",
        "MAP_NORESERVE",
        "MAP_STACK",
        "PROT_READ",
        "PROT_WRITE",
    ];
    flags.iter().filter(|flag| !EVERYDAY.contains(&flag.as_str())).take(3)
}
