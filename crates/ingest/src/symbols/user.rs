//! Names of user frames, module by module, on two threads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::SymbolSources;
use super::file_names::pid_of_made_code;
use super::jit_dump::JitDump;
use super::jit_map::JitMap;
use super::offsets::name_offsets;
use super::places::Places;
use super::report::{Count, ModuleReport};
use super::return_addresses;
use super::search::Found;
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
    /// Offsets of those that are returned to, where the module has no build id.
    returned_to: Vec<u64>,
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
    let unchecked = |module| {
        let module: &Module = capture.modules.get(module);
        module.kind == ModuleKind::User && module.build_id.is_none()
    };
    let any = capture.modules.iter().any(|(id, _)| unchecked(id));
    let returned_to = if any { return_addresses::of(capture) } else { Default::default() };
    for (id, frame) in capture.frames.iter() {
        if let (Symbol::Unknown(_), Location::File { module, offset }) =
            (&frame.symbol, frame.location)
        {
            let (frames, offsets, returned) = (Vec::new(), Vec::new(), Vec::new());
            let new = || Job { module, frames, offsets, returned_to: returned };
            let job = jobs.entry(module).or_insert_with(new);
            job.frames.push(id);
            job.offsets.push(offset);
            if returned_to.contains(&id) && unchecked(module) {
                job.returned_to.push(offset);
            }
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
                    let outcome = name_module(places, job, modules);
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

fn name_module(places: &Places, job: &Job, modules: &ModuleTable) -> Outcome {
    let (module, offsets) = (modules.get(job.module), job.offsets.as_slice());
    let unknown = |why| vec![Symbol::Unknown(why); offsets.len()];
    match module.kind {
        ModuleKind::Anonymous => name_made_code(places, module, modules, offsets),
        ModuleKind::Kernel | ModuleKind::KernelModule => {
            Outcome { symbols: unknown(WhyNoSymbol::NoKernelSymbols), found: None }
        }
        ModuleKind::User | ModuleKind::Vdso => {
            let mut found = places.locate(module);
            found.check(&job.returned_to);
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
