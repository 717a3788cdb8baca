//! Stacks that were recorded as registers and bytes, against what `perf script` makes of the same file.

use std::fs;

use coldcase_ingest::capture::{Capture, Frame, Mode, StackId, Timestamp};
use coldcase_ingest::symbols::{SymbolSources, resolve};
use coldcase_ingest::{ReadOptions, read};

use crate::data;

fn sources(symfs: &[&str]) -> SymbolSources {
    SymbolSources {
        symfs: symfs.iter().map(|name| data(name)).collect(),
        ..SymbolSources::default()
    }
}

fn unwound(sources: &SymbolSources) -> Capture {
    let options = ReadOptions { programs: Some(sources), ..ReadOptions::default() };
    let mut capture = read(&data("dwarf.data.zst"), options, &mut |_, _| {}).unwrap();
    resolve(&mut capture, sources);
    capture
}

fn stacks(capture: &Capture) -> Vec<StackId> {
    let switches = capture.switches.iter().filter_map(|row| Some((row.time, row.stack?)));
    let samples = capture.samples.iter().filter_map(|row| Some((row.time, row.stack?)));
    let mut stacks: Vec<(Timestamp, StackId)> = switches.chain(samples).collect();
    stacks.sort_by_key(|(time, _)| *time);
    stacks.into_iter().map(|(_, stack)| stack).collect()
}

/// The functions of user space, innermost first, one line for each stack.
fn functions(capture: &Capture) -> Vec<String> {
    let name = |frame: &Frame| frame.function().unwrap_or("?").to_owned();
    let stack = |stack| {
        let frames = capture.stacks.frames(stack).iter().map(|&frame| capture.frames.get(frame));
        let names: Vec<_> = frames.filter(|frame| frame.mode == Mode::User).map(name).collect();
        names.join(" ")
    };
    stacks(capture).into_iter().map(stack).collect()
}

/// `perf script -F comm,tid,time,event,ip,sym`: a line for each sample, its frames below it, indented.
fn functions_by_perf() -> Vec<String> {
    let text = fs::read_to_string(data("dwarf.script.txt")).unwrap();
    let stack = |block: &str| {
        let frames = block.lines().skip(1).filter_map(|line| line.trim().split_once(' '));
        let user = frames.filter(|(address, _)| !address.starts_with("ffffffff"));
        user.map(|(_, name)| name.to_owned()).collect::<Vec<_>>().join(" ")
    };
    text.split("\n\n").filter(|block| !block.trim().is_empty()).map(stack).collect()
}

#[test]
fn stacks_without_frame_pointers_are_unwound_as_perf_does_it() {
    let (ours, theirs) = (functions(&unwound(&sources(&["symfs"]))), functions_by_perf());
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.iter().any(|stack| stack.matches("descend").count() == 6), "{ours:#?}");
    let same = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours == theirs).count();
    assert!(same * 100 >= ours.len() * 95, "{same} of {}: {ours:#?} {theirs:#?}", ours.len());
}

#[test]
fn without_the_program_a_stack_is_its_innermost_frame_and_that_is_said() {
    let capture = unwound(&sources(&[]));
    for stack in stacks(&capture) {
        let frames = capture.stacks.frames(stack).iter();
        let user = frames.filter(|&&frame| capture.frames.get(frame).mode == Mode::User);
        assert!(user.count() <= 1);
    }
    let said = capture.warnings.iter().find(|warning| warning.contains("end early in"));
    assert!(said.is_some_and(|warning| warning.contains("/deep")), "{:?}", capture.warnings);
}
