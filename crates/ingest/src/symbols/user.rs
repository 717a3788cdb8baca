//! Names of user frames, module by module, on two threads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::binary::{self, Segments};
use super::calls::calls;
use super::debug_link::shared_file;
use super::dwarf;
use super::file_names::pid_of_made_code;
use super::jit_dump::JitDump;
use super::jit_map::JitMap;
use super::places::Places;
use super::report::{Count, ModuleReport};
use super::search::Found;
use super::split::SplitFiles;
use super::{SymbolSources, elf_symbols};
use crate::capture::{
    Call, Capture, FrameId, Location, Module, ModuleId, ModuleKind, ModuleTable, Sentence, Symbol,
    WhyNoSymbol,
};

/// Modules are named at the same time.
const THREADS: usize = 2;
/// Warnings of one kind that are spelled out; the report's modules have all of them.
const SPELLED_OUT: usize = 5;

/// One module's frames, and what became of them.
struct Job {
    module: ModuleId,
    frames: Vec<FrameId>,
    offsets: Vec<u64>,
}

struct Outcome {
    symbols: Vec<Symbol>,
    found: Option<Found>,
}

/// Names the frames that lie in files.
pub(super) fn resolve(
    capture: &mut Capture,
    sources: &SymbolSources,
    warnings: &mut Vec<Sentence>,
) -> Vec<ModuleReport> {
    let places = Places::open(sources, warnings);
    let jobs = jobs(capture);
    let outcomes = run(capture, &places, &jobs);
    let mut reports = Vec::new();
    let mut refused = Vec::new();
    let mut unchecked = Vec::new();
    for (job, outcome) in jobs.iter().zip(outcomes) {
        let report = report(capture, job, &outcome);
        if let Some(found) = &outcome.found {
            // Another build under the same name matters only if the right one was not found.
            let refusals = found.refused.iter().filter(|_| found.reason.is_some());
            refused.extend(refusals.chain(&found.notes).map(|why| {
                Sentence::from("symbols of ").path(&report.path).words(": ").sentence(why)
            }));
            unchecked.extend(found.unchecked.then(|| unchecked_warning(&report)));
        }
        for (&frame, symbol) in job.frames.iter().zip(outcome.symbols) {
            capture.frames.set_symbol(frame, symbol);
        }
        reports.push(report);
    }
    warnings.extend(shortened(refused, "files that do not fit the capture"));
    warnings.extend(shortened(unchecked, "modules without a build id"));
    reports
}

fn jobs(capture: &Capture) -> Vec<Job> {
    let mut jobs = BTreeMap::<ModuleId, Job>::new();
    for (id, frame) in capture.frames.iter() {
        if let (Symbol::Unknown(_), Location::File { module, offset }) =
            (&frame.symbol, frame.location)
        {
            let new = || Job { module, frames: Vec::new(), offsets: Vec::new() };
            let job = jobs.entry(module).or_insert_with(new);
            job.frames.push(id);
            job.offsets.push(offset);
        }
    }
    jobs.into_values().collect()
}

/// Each job's outcome, in the order of the jobs, whichever thread did it.
fn run(capture: &Capture, places: &Places, jobs: &[Job]) -> Vec<Outcome> {
    let modules = &capture.modules;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((number, job)) = take(&next, jobs) {
                    let outcome = name_module(places, job.module, modules, &job.offsets);
                    // Nothing panics while the lock is held, so a poisoned one is as good.
                    let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    done.insert(number, outcome);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect()
}

fn take<'a>(next: &AtomicUsize, jobs: &'a [Job]) -> Option<(usize, &'a Job)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, jobs.get(number)?))
}

fn name_module(
    places: &Places,
    module: ModuleId,
    modules: &ModuleTable,
    offsets: &[u64],
) -> Outcome {
    let module = modules.get(module);
    let unknown = |why| vec![Symbol::Unknown(why); offsets.len()];
    match module.kind {
        ModuleKind::Anonymous => name_made_code(places, module, modules, offsets),
        ModuleKind::Kernel | ModuleKind::KernelModule => {
            Outcome { symbols: unknown(WhyNoSymbol::NoKernelSymbols), found: None }
        }
        ModuleKind::User | ModuleKind::Vdso => {
            let mut found = places.locate(module);
            let symbols = match found.reason {
                Some(reason) => unknown(reason),
                None => name_offsets(places, module, &mut found, offsets),
            };
            // A program can take gigabytes, and only its name is needed from here on.
            found.files.iter_mut().for_each(|file| file.bytes = Vec::new());
            Outcome { symbols, found: Some(found) }
        }
    }
}

/// Looks addresses up in the first map or dump that is of this process.
fn name_made_code(
    places: &Places,
    module: &Module,
    modules: &ModuleTable,
    addresses: &[u64],
) -> Outcome {
    let mut refused = Vec::new();
    for (shown, bytes) in places.made_code(module, modules) {
        let map = match JitDump::parse(&bytes) {
            Some(dump) if Some(dump.pid) != pid_of_made_code(module) => {
                let file = Sentence::default().path(shown.display());
                refused.push(file.words(&format!(" was written by process {}", dump.pid)));
                continue;
            }
            Some(dump) => JitMap::of_dump(&dump),
            None => JitMap::parse(&bytes),
        };
        let name = |&address: &u64| match map.function(address) {
            Some(function) => Symbol::Known(vec![Call { function, ..Call::default() }]),
            None => Symbol::Unknown(WhyNoSymbol::NoSymbol),
        };
        let found = Found { beside: vec![shown], refused, ..Found::default() };
        return Outcome { symbols: addresses.iter().map(name).collect(), found: Some(found) };
    }
    let symbols = vec![Symbol::Unknown(WhyNoSymbol::NoFile); addresses.len()];
    let found = Found { refused, reason: Some(WhyNoSymbol::NoFile), ..Found::default() };
    Outcome { symbols, found: Some(found) }
}

/// Looks bytes of a program up in it and in its debug files. Adds to what was found the files that these refer to.
fn name_offsets(
    places: &Places,
    module: &Module,
    found: &mut Found,
    offsets: &[u64],
) -> Vec<Symbol> {
    let files = &found.files;
    let parsed: Vec<_> = files.iter().filter_map(|file| binary::parse(&file.bytes).ok()).collect();
    let code = parsed.iter().map(Segments::of).collect::<Vec<_>>();
    let address = |&offset: &u64| code.iter().find_map(|segments| segments.address_of(offset));
    let symbols = elf_symbols::table(&parsed);
    let with_debug_info = files.iter().zip(&parsed).find(|(file, _)| file.summary.debug_info);
    let link = with_debug_info.and_then(|(file, _)| shared_file(&file.bytes));
    let shared = link.and_then(|(path, id)| places.shared_file(&path, &id));
    let shared = shared.as_ref().and_then(|bytes| binary::parse(bytes).ok());
    let sections = with_debug_info.map(|(_, file)| dwarf::Sections::load(file, shared.as_ref()));
    let lines = |split| sections.as_ref().and_then(|sections| sections.lines(split));
    let without_split = lines(None);
    let probes = offsets.iter().filter_map(address).map(|address| symbols.probe(address));
    let wanted = without_split.as_ref().map(|lines| lines.wanted(probes)).unwrap_or_default();
    let split_files = SplitFiles::find(places, module, wanted);
    let split_sections = split_files.sections();
    let split = split_sections.split();
    let lines = if split.is_empty() { without_split } else { lines(Some(&split)) };
    let name = |offset: &u64| {
        let calls = address(offset).map(|address| {
            let probe = symbols.probe(address);
            calls(lines.as_ref(), symbols.find(probe).copied(), probe)
        });
        match calls {
            Some(calls) if !calls.is_empty() => Symbol::Known(calls),
            _ => Symbol::Unknown(WhyNoSymbol::NoSymbol),
        }
    };
    let named = offsets.iter().map(name).collect();
    found.beside = split_files.shown().collect();
    found.notes = split_files.notes.clone();
    named
}

fn report(capture: &Capture, job: &Job, outcome: &Outcome) -> ModuleReport {
    let mut resolved = 0;
    let mut reason = None;
    for symbol in &outcome.symbols {
        match symbol {
            Symbol::Known(_) => resolved += 1,
            Symbol::Unknown(why) => reason = Some(*why),
        }
    }
    let mut notes = Vec::new();
    let mut files = Vec::new();
    if let Some(found) = &outcome.found {
        notes.extend(found.refused.iter().chain(&found.notes).cloned());
        if found.reason.is_some() {
            notes.extend((!found.looked_for.is_empty()).then(|| found.looked_for.clone()));
        } else {
            files.extend(found.files.iter().map(|file| file.shown.clone()));
            files.extend(found.beside.iter().cloned());
        }
    }
    let module = capture.modules.get(job.module);
    let (path, build_id) = (module.path.clone(), module.build_id.as_ref().map(ToString::to_string));
    let frames = Count { resolved, total: job.frames.len() };
    ModuleReport { module: job.module, path, frames, files, reason, build_id, notes }
}

fn unchecked_warning(report: &ModuleReport) -> Sentence {
    let files = report.files.iter().map(|file| Sentence::default().path(file.display()));
    let files: Vec<Sentence> = files.collect();
    let symbols = Sentence::from("symbols of ").path(&report.path).words(": taken from ");
    symbols
        .sentence(&Sentence::list(&files))
        .words(", but the capture has no build id to check it by")
}

/// The first few, and how many more there are.
fn shortened(mut warnings: Vec<Sentence>, what: &str) -> Vec<Sentence> {
    let more = warnings.len().saturating_sub(SPELLED_OUT);
    warnings.truncate(SPELLED_OUT);
    if more > 0 {
        warnings.push(format!("symbols: {more} more warnings of {what}").into());
    }
    warnings
}
