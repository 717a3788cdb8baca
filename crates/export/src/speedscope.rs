//! speedscope's file format (<https://www.speedscope.app/file-format-schema.json>): one sampled profile a thread, in
//! nanoseconds, in which a wait is a sample with its stack, and all other time has none.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write;

use coldcase_analyze::records::{Records, State, StateRow};
use serde::Serialize;

use crate::Source;
use crate::error::ExportError;
use crate::labels;

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: &'static str,
    name: String,
    #[serde(rename = "activeProfileIndex")]
    active: usize,
    shared: Shared<'a>,
    profiles: Vec<Profile>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Frame<'a> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
struct Profile {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start: u64,
    #[serde(rename = "endValue")]
    end: u64,
    samples: Vec<Vec<u32>>,
    weights: Vec<u64>,
}

/// Writes a file that speedscope opens. Threads of the kernel are left out.
///
/// # Errors
///
/// If `out` does not take the bytes.
pub fn write_speedscope(source: Source<'_>, mut out: impl Write) -> Result<(), ExportError> {
    let records = source.records;
    let mut frames: Vec<Frame<'_>> = records
        .frames
        .iter()
        .map(|row| Frame {
            name: labels::frame(row),
            file: row.view.file.as_deref(),
            line: row.view.line,
        })
        .collect();
    let (profiles, threads) = match records.span {
        Some(_) => of_events(records, &mut frames),
        None => of_sums(records, &mut frames),
    };
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: concat!("coldcase ", env!("CARGO_PKG_VERSION")),
        name: "off-CPU time".to_owned(),
        active: busiest(source, &threads),
        shared: Shared { frames },
        profiles,
    };
    serde_json::to_writer(&mut out, &file)?;
    writeln!(out)?;
    Ok(())
}

/// A profile of each thread that was seen, with the number of the thread.
fn of_events<'a>(records: &'a Records, frames: &mut Vec<Frame<'a>>) -> (Vec<Profile>, Vec<usize>) {
    let mut made_up = MadeUp { frames, known: BTreeMap::new() };
    let lives = records.states.chunk_by(|a, b| a.thread == b.thread);
    let lives = lives.filter(|life| !records.threads[life[0].thread.index()].kernel);
    let profiles = lives.map(|life| {
        let thread = life[0].thread.index();
        (of_life(records, life, &mut made_up), thread)
    });
    profiles.unzip()
}

fn of_life<'a>(records: &'a Records, life: &[StateRow], made_up: &mut MadeUp<'_, 'a>) -> Profile {
    let whole = records.span.unwrap_or(life[0].span);
    let mut samples = Samples::default();
    let mut at = whole.start;
    for row in life {
        let Some(span) = row.span.intersect(whole) else { continue };
        samples.add(Vec::new(), span.start.since(at).0);
        let stack = match row.state {
            State::Running => Vec::new(),
            State::Runnable => vec![made_up.frame("[waiting for a CPU]")],
            State::Blocked(wait) => {
                let wait = &records.waits[wait];
                let stack = wait.stack.map(|stack| records.stacks[stack as usize].clone());
                stack.unwrap_or_else(|| vec![made_up.frame(&wait.site)])
            }
        };
        samples.add(stack, span.duration().0);
        at = span.end;
    }
    samples.add(Vec::new(), whole.end.since(at).0);
    let name = labels::thread(&records.threads[life[0].thread.index()]);
    samples.into_profile(name, whole.start.0)
}

/// The sums of a profile without times, one after the other.
fn of_sums<'a>(records: &'a Records, frames: &mut Vec<Frame<'a>>) -> (Vec<Profile>, Vec<usize>) {
    let mut made_up = MadeUp { frames, known: BTreeMap::new() };
    let mut threads: BTreeMap<usize, Samples> = BTreeMap::new();
    for row in &records.profile {
        let stack = row.stack.map(|stack| records.stacks[stack as usize].clone());
        let stack = stack.unwrap_or_else(|| vec![made_up.frame(&row.site)]);
        threads.entry(row.thread.index()).or_default().add(stack, row.off_cpu.0);
    }
    let profiles = threads.into_iter().map(|(thread, samples)| {
        (samples.into_profile(labels::thread(&records.threads[thread]), 0), thread)
    });
    profiles.unzip()
}

#[derive(Default)]
struct Samples {
    stacks: Vec<Vec<u32>>,
    weights: Vec<u64>,
}

impl Samples {
    fn add(&mut self, stack: Vec<u32>, weight: u64) {
        match (self.stacks.last(), self.weights.last_mut()) {
            _ if weight == 0 => {}
            (Some(last), Some(known)) if *last == stack && stack.is_empty() => *known += weight,
            _ => {
                self.stacks.push(stack);
                self.weights.push(weight);
            }
        }
    }

    fn into_profile(self, name: String, start: u64) -> Profile {
        Profile {
            kind: "sampled",
            name,
            unit: "nanoseconds",
            start,
            end: self.weights.iter().fold(start, |end, weight| end.saturating_add(*weight)),
            samples: self.stacks,
            weights: self.weights,
        }
    }
}

/// Frames that stand for what has no stack.
struct MadeUp<'f, 'a> {
    frames: &'f mut Vec<Frame<'a>>,
    known: BTreeMap<String, u32>,
}

impl MadeUp<'_, '_> {
    fn frame(&mut self, name: &str) -> u32 {
        if let Some(&known) = self.known.get(name) {
            return known;
        }
        let number = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        self.frames.push(Frame { name: name.to_owned(), file: None, line: None });
        self.known.insert(name.to_owned(), number);
        number
    }
}

/// The profile that is shown first: of who stood still longest in the worst freeze.
fn busiest(source: Source<'_>, threads: &[usize]) -> usize {
    let worst = source.findings.verdict.window;
    let mut blocked: BTreeMap<usize, u64> = BTreeMap::new();
    for wait in source.records.waits.iter().filter(|wait| worst.is_some() && wait.window == worst) {
        *blocked.entry(wait.thread.index()).or_default() += wait.span.duration().0;
    }
    let time = |thread: &usize| blocked.get(thread).copied().unwrap_or(0);
    let most =
        threads.iter().enumerate().max_by_key(|(index, thread)| (time(thread), Reverse(*index)));
    most.map_or(0, |(index, _)| index)
}
