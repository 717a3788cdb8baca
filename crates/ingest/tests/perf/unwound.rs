//! Stacks of Debian's programs as bytes (`--call-graph dwarf`), against what `perf script` unwinds of the same recordings, frame by frame:
//! redis and MariaDB under load on x86-64, and sqlite, `sort` and a shell on arm64. redis and the C library are built without frame
//! pointers, MariaDB with and without.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Capture, Frame, Location, Mode, StackId, ThreadId};
use coldcase_ingest::symbols::SymbolSources;
use coldcase_ingest::{ReadOptions, read};

use crate::{data, unpacked};

/// Frames, innermost first, as their files and the bytes in them (of the kernel, its addresses); by the sample's time and thread.
type Stacks = BTreeMap<(u64, i32), Vec<Place>>;
type Place = (String, u64);

fn by_coldcase(folder: &str, name: &str) -> Stacks {
    let symfs = vec![data(&format!("{folder}/symfs"))];
    let sources = SymbolSources { symfs, ..SymbolSources::default() };
    let options = ReadOptions { programs: Some(&sources), ..ReadOptions::default() };
    let recording = data(&format!("{folder}/{name}.data.zst"));
    let capture = read(&recording, options, &mut |_, _| {}).unwrap();
    let tid = |thread: ThreadId| capture.threads.get(thread).tid;
    let switches = capture.switches.iter().filter_map(|row| Some((row.time, row.out?, row.stack?)));
    let samples = capture.samples.iter().filter_map(|row| Some((row.time, row.thread, row.stack?)));
    let wakeups = capture.wakeups.iter().filter_map(|row| Some((row.time, row.waker?, row.stack?)));
    let stacks = switches.chain(samples).chain(wakeups);
    stacks.map(|(time, thread, stack)| ((time.0, tid(thread)), places(&capture, stack))).collect()
}

fn places(capture: &Capture, stack: StackId) -> Vec<Place> {
    let frames = capture.stacks.frames(stack).iter().map(|&frame| capture.frames.get(frame));
    let place = |frame: &Frame| match (frame.location, frame.mode) {
        (Location::File { module, offset }, _) => {
            (capture.modules.get(module).path.clone(), offset)
        }
        (Location::Address(address), Mode::Kernel) => ("[kernel.kallsyms]".to_owned(), address),
        (Location::Address(address), Mode::User) => ("[unknown]".to_owned(), address),
        (Location::Named(_), _) => unreachable!("a perf.data has addresses"),
    };
    frames.map(place).collect()
}

/// `perf script --ns --no-inline -F comm,pid,tid,time,event,ip,sym,dso`: a line for each sample, below it its frames, indented,
/// those of user space by their byte in the file.
fn by_perf(folder: &str, name: &str) -> Stacks {
    let text = String::from_utf8(unpacked(&format!("{folder}/{name}.script.txt.zst"))).unwrap();
    text.split("\n\n").map(str::trim_start).filter(|block| !block.is_empty()).map(sample).collect()
}

/// `mariadbd 10140/10438 44906.585771589:  sched:sched_switch:`, and frames like `27ce4 free (/usr/lib/libjemalloc.so.2)`.
fn sample(block: &str) -> ((u64, i32), Vec<Place>) {
    let (head, frames) = block.split_once('\n').unwrap_or((block, ""));
    let (head, _event) = head.split_once(": ").unwrap();
    let (head, time) = head.rsplit_once(' ').unwrap();
    let (_, tid) = head.trim_end().rsplit_once('/').unwrap();
    // perf marks the end of some stacks so.
    let frames =
        frames.lines().map(str::trim).filter(|line| !line.starts_with("ffffffffffffffff "));
    let place = |line: &str| {
        let (offset, rest) = line.split_once(' ').unwrap();
        let (_, file) = rest.strip_suffix(')').unwrap().rsplit_once('(').unwrap();
        (file.to_owned(), u64::from_str_radix(offset, 16).unwrap())
    };
    let key = (time.replace('.', "").parse().unwrap(), tid.parse().unwrap());
    (key, frames.map(place).collect())
}

/// perf shows the byte before a return address; of the innermost frame, and of one that a signal interrupted, the address itself.
fn is_same(ours: &Place, theirs: &Place) -> bool {
    ours.0 == theirs.0 && (ours.1 == theirs.1 || ours.1 == theirs.1 + 1)
}

/// How deep a stack is the same in both.
fn same_frames(ours: &[Place], theirs: &[Place]) -> usize {
    ours.iter().zip(theirs).take_while(|(ours, theirs)| is_same(ours, theirs)).count()
}

/// Whether the two are the same samples, and deep ones among them.
fn assert_same_samples(name: &str, ours: &Stacks, theirs: &Stacks) {
    assert!(ours.keys().eq(theirs.keys()), "{name}: each sample has its stack");
    assert!(theirs.len() > 100 && theirs.values().map(Vec::len).max() > Some(10), "{name}");
}

/// busybox, the shell of the recording on arm64, has unwind tables without an index, and perf goes no further than its innermost
/// function, or takes for its caller what the link register still holds of an earlier call.
#[test]
fn stacks_are_those_of_perf_or_go_on_where_they_end() {
    for (folder, name, percent, most) in
        [("servers", "redis", 95, 1), ("servers", "mariadb", 95, 1), ("arm64", "dwarf", 58, 9)]
    {
        let (ours, theirs) = (by_coldcase(folder, name), by_perf(folder, name));
        assert_same_samples(name, &ours, &theirs);
        let (mut same, mut different) = (0, Vec::new());
        for (key, theirs) in &theirs {
            let ours = &ours[key];
            let depth = same_frames(ours, theirs);
            same += usize::from(depth == ours.len().max(theirs.len()));
            assert!(ours.len() >= theirs.len(), "{name} ends early: {ours:x?} {theirs:x?}");
            if depth < theirs.len() {
                different.push((key, depth, ours, theirs));
            }
        }
        let all = theirs.len();
        let others = different.len();
        assert!(
            others * 100 <= all * most,
            "{name}: {others} of {all}, {same} the same: {different:x?}"
        );
        assert!(same * 100 >= all * percent, "{name}: {same} of {all} are the same");
    }
}

/// Chains of addresses by frame pointers, as the kernel of arm64 writes them. Behind a function that calls no other perf puts its
/// caller, which the kernel leaves out, from the link register. In the midst of `execve` it still knows the mappings of before.
#[test]
fn chains_of_arm64_are_those_of_perf_without_callers_of_leaves() {
    let (ours, mut theirs) = (by_coldcase("arm64", "chains"), by_perf("arm64", "chains"));
    assert_same_samples("chains", &ours, &theirs);
    let mut unmapped = 0;
    for (key, theirs) in &mut theirs {
        let ours = &ours[key];
        if ours.len() + 1 == theirs.len() {
            let of_kernel = |place: &&Place| place.0 == "[kernel.kallsyms]";
            theirs.remove(ours.iter().take_while(of_kernel).count() + 1);
        }
        assert_eq!(ours.len(), theirs.len(), "{ours:x?} {theirs:x?}");
        let known = ours.iter().take_while(|place| place.0 != "[unknown]").count();
        unmapped += usize::from(known < ours.len());
        assert!(same_frames(ours, theirs) >= known, "{ours:x?} {theirs:x?}");
    }
    assert!(unmapped * 20 < theirs.len(), "{unmapped} of {}", theirs.len());
}
