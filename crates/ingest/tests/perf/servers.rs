//! Stacks of Debian's redis and MariaDB under load as bytes (`--call-graph dwarf`), against what `perf script` unwinds of the same
//! recordings, frame by frame. Both are built without frame pointers.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Capture, Location, Mode, StackId, ThreadId};
use coldcase_ingest::symbols::SymbolSources;
use coldcase_ingest::{ReadOptions, read};

use crate::{data, unpacked};

/// User frames, innermost first, as their files and the bytes in them; by the sample's time and thread.
type Stacks = BTreeMap<(u64, i32), Vec<Place>>;
type Place = (String, u64);

fn by_coldcase(name: &str) -> Stacks {
    let symfs = vec![data("servers/symfs")];
    let sources = SymbolSources { symfs, ..SymbolSources::default() };
    let options = ReadOptions { programs: Some(&sources), ..ReadOptions::default() };
    let recording = data(&format!("servers/{name}.data.zst"));
    let capture = read(&recording, options, &mut |_, _| {}).unwrap();
    let tid = |thread: ThreadId| capture.threads.get(thread).tid;
    let switches = capture.switches.iter().filter_map(|row| Some((row.time, row.out?, row.stack?)));
    let samples = capture.samples.iter().filter_map(|row| Some((row.time, row.thread, row.stack?)));
    let stacks = switches.chain(samples);
    stacks.map(|(time, thread, stack)| ((time.0, tid(thread)), places(&capture, stack))).collect()
}

fn places(capture: &Capture, stack: StackId) -> Vec<Place> {
    let frames = capture.stacks.frames(stack).iter().map(|&frame| capture.frames.get(frame));
    let user = frames.filter(|frame| frame.mode == Mode::User).map(|frame| frame.location);
    let place = |location| match location {
        Location::File { module, offset } => (capture.modules.get(module).path.clone(), offset),
        other => panic!("no file: {other:?}"),
    };
    user.map(place).collect()
}

/// `perf script --ns --no-inline -F comm,pid,tid,time,event,ip,sym,dso`: a line for each sample, below it its frames, indented,
/// those of user space by their byte in the file.
fn by_perf(name: &str) -> Stacks {
    let text = String::from_utf8(unpacked(&format!("servers/{name}.script.txt.zst"))).unwrap();
    text.split("\n\n").map(str::trim_start).filter(|block| !block.is_empty()).map(sample).collect()
}

/// `mariadbd 10140/10438 44906.585771589:  sched:sched_switch:`, and frames like `27ce4 free (/usr/lib/libjemalloc.so.2)`.
fn sample(block: &str) -> ((u64, i32), Vec<Place>) {
    let (head, frames) = block.split_once('\n').unwrap_or((block, ""));
    let (head, _event) = head.split_once(": ").unwrap();
    let (head, time) = head.rsplit_once(' ').unwrap();
    let (_, tid) = head.trim_end().rsplit_once('/').unwrap();
    let user = frames.lines().map(str::trim).filter(|line| !line.starts_with("ffffffff"));
    let place = |line: &str| {
        let (offset, rest) = line.split_once(' ').unwrap();
        let (_, file) = rest.strip_suffix(')').unwrap().rsplit_once('(').unwrap();
        (file.to_owned(), u64::from_str_radix(offset, 16).unwrap())
    };
    ((time.replace('.', "").parse().unwrap(), tid.parse().unwrap()), user.map(place).collect())
}

/// perf shows the byte before a return address; of the innermost frame, and of one that a signal interrupted, the address itself.
fn is_same(ours: &Place, theirs: &Place) -> bool {
    ours.0 == theirs.0 && (ours.1 == theirs.1 || ours.1 == theirs.1 + 1)
}

/// How deep a stack is the same in both.
fn same_frames(ours: &[Place], theirs: &[Place]) -> usize {
    ours.iter().zip(theirs).take_while(|(ours, theirs)| is_same(ours, theirs)).count()
}

#[test]
fn stacks_of_servers_under_load_are_those_of_perf_or_go_on_where_they_end() {
    for name in ["redis", "mariadb"] {
        let (ours, theirs) = (by_coldcase(name), by_perf(name));
        assert!(ours.keys().eq(theirs.keys()), "{name}: each sample has its stack");
        assert!(theirs.values().map(Vec::len).max() > Some(10), "{name}: deep ones among them");
        let mut same = 0;
        for (key, theirs) in &theirs {
            let ours = &ours[key];
            assert_eq!(
                same_frames(ours, theirs),
                theirs.len(),
                "{name} {key:?}: {ours:x?} {theirs:x?}"
            );
            same += usize::from(ours.len() == theirs.len());
        }
        assert!(same * 100 >= theirs.len() * 95, "{name}: {same} of {}", theirs.len());
    }
}
