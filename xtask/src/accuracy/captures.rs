//! The stored captures: which there are, and each analysed as `coldcase report` would.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use coldcase_analyze::{Options, analyze};
use coldcase_ingest::ReadOptions;
use coldcase_ingest::symbols::{self, SymbolSources};

use super::judge::{self, Row};
use super::told::Told;
use super::truth::Truth;

/// How many captures are analysed at once; each takes a few hundred MB.
const AT_ONCE: usize = 2;

/// A capture of a scenario.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stored {
    /// The fixture's folder.
    pub scenario: String,
    /// Its place among the captures of the scenario, the richest set of events first.
    rank: usize,
    /// The file's name.
    pub file: String,
}

/// A capture and what its verdict is worth.
#[derive(Debug)]
pub struct Judged {
    pub scenario: String,
    /// Which events were recorded; one of [`EVENT_SETS`].
    pub events: &'static str,
    pub rows: Vec<Row>,
}

/// The sets of events with their files, the richest first.
pub const EVENT_SETS: [(&str, &str); 9] = [
    ("full", "capture.data.zst"),
    ("trap", "bundle.tar.zst"),
    ("late", "late.tar.zst"),
    ("sched", "sched.data.zst"),
    ("pid", "pid.data.zst"),
    ("switch", "switch.data.zst"),
    ("bare", "bare.data.zst"),
    ("lock", "lock.data.zst"),
    ("folded", "capture.folded"),
];

/// All captures in folders that hold a truth, by name, the richest set of events first.
pub fn all(fixtures: &Path) -> Result<Vec<Stored>> {
    let mut captures = Vec::new();
    let folders =
        fs::read_dir(fixtures).with_context(|| format!("cannot read {}", fixtures.display()))?;
    for folder in folders {
        let folder = folder?.path();
        if !folder.join("truth.json").is_file() {
            continue;
        }
        let scenario = folder.file_name().unwrap_or_default().to_string_lossy();
        for (rank, (_, file)) in EVENT_SETS.iter().enumerate() {
            if folder.join(file).is_file() {
                let file = (*file).to_owned();
                captures.push(Stored { scenario: scenario.clone().into_owned(), rank, file });
            }
        }
    }
    captures.sort();
    ensure!(!captures.is_empty(), "{} holds no captures", fixtures.display());
    Ok(captures)
}

/// Analyses all of them, and holds each against its truth.
pub fn judged(fixtures: &Path, captures: &[Stored]) -> Result<Vec<Judged>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((index, capture)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            captures.get(index).map(|capture| (index, capture))
        } {
            done.push((index, one(fixtures, capture)?));
        }
        Ok(done)
    };
    let mut judged: Vec<(usize, Judged)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| worker.join().expect("it does not panic"));
        results.collect::<Result<Vec<_>>>().map(|parts| parts.into_iter().flatten().collect())
    })?;
    judged.sort_by_key(|(index, _)| *index);
    Ok(judged.into_iter().map(|(_, judged)| judged).collect())
}

fn one(fixtures: &Path, capture: &Stored) -> Result<Judged> {
    let folder = fixtures.join(&capture.scenario);
    let truth = Truth::of(&folder)?;
    let told = told(fixtures, &folder.join(&capture.file))?;
    Ok(Judged {
        scenario: capture.scenario.clone(),
        events: EVENT_SETS[capture.rank].0,
        rows: judge::rows(&truth, truth.captures.get(&capture.file).copied(), &told),
    })
}

/// Nothing of this machine but the fixtures has a say: no debug files, no kernel of its own.
fn told(fixtures: &Path, path: &Path) -> Result<Told> {
    // A capture of another boot has the symbols of its kernel beside it.
    let own = Some(path.with_file_name("kallsyms.zst")).filter(|list| list.exists());
    let sources = SymbolSources {
        kallsyms: own.or_else(|| Some(fixtures.join("kallsyms.zst"))),
        symfs: vec![fixtures.join("symfs")],
        ..SymbolSources::default()
    };
    let options = ReadOptions { programs: Some(&sources), ..ReadOptions::default() };
    let mut capture = coldcase_ingest::read(path, options, &mut |_, _| {})?;
    symbols::resolve(&mut capture, &sources);
    Ok(Told::of(&analyze(&capture, &Options::default())))
}
