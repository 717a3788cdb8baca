//! Names of kernel addresses: which list of symbols is used, and what it gives.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use super::kallsyms::{Kallsyms, KernelTable};
use super::plausible::Plausibility;
use super::report::KernelReport;
use super::{SymbolSources, build_id, count, folder, read};
use crate::capture::{Call, Capture, FrameId, Location, Mode, Symbol, WhyNoSymbol};

/// Where the running kernel tells of itself.
const RUNNING_NOTES: &str = "/sys/kernel/notes";
const RUNNING_KALLSYMS: &str = "/proc/kallsyms";

/// A list of symbols that fits the capture.
struct Names {
    table: KernelTable,
    source: String,
}

/// Names the kernel's frames.
pub(super) fn resolve(
    capture: &mut Capture,
    sources: &SymbolSources,
    warnings: &mut Vec<String>,
) -> KernelReport {
    name_made_code(capture);
    let frames = unnamed(capture);
    let mut report = KernelReport::default();
    if frames.is_empty() {
        report.source = "no kernel address needs a name".to_owned();
    } else if let Some(names) = choose(capture, sources, warnings) {
        report.modules = set_symbols(capture, &names.table, &frames);
        report.source = names.source;
    } else {
        report.source =
            "no symbols of the captured kernel; give a copy of its /proc/kallsyms".to_owned();
        for (id, _) in frames {
            capture.frames.set_symbol(id, Symbol::Unknown(WhyNoSymbol::NoKernelSymbols));
        }
    }
    report.frames = count(capture, Mode::Kernel);
    report
}

/// Names code that the kernel announced when it made it: a list of symbols from another moment may have
/// something else there.
fn name_made_code(capture: &mut Capture) {
    let mut made = capture.made_code.clone();
    made.sort_by_key(|code| code.address);
    for (id, address) in unnamed(capture) {
        let before = made.partition_point(|code| code.address <= address);
        let code = before.checked_sub(1).and_then(|at| made.get(at));
        if let Some(code) = code.filter(|code| address - code.address < code.length) {
            let call = Call { function: code.name.clone(), ..Call::default() };
            capture.frames.set_symbol(id, Symbol::Known(vec![call]));
        }
    }
}

fn unnamed(capture: &Capture) -> Vec<(FrameId, u64)> {
    let frames = capture.frames.iter().filter(|(_, frame)| frame.mode == Mode::Kernel);
    frames
        .filter_map(|(id, frame)| match (&frame.symbol, frame.location) {
            (Symbol::Unknown(_), Location::Address(address)) => Some((id, address)),
            _ => None,
        })
        .collect()
}

/// Names the frames and counts those in loadable modules.
fn set_symbols(
    capture: &mut Capture,
    table: &KernelTable,
    frames: &[(FrameId, u64)],
) -> Vec<(String, usize)> {
    let mut modules = BTreeMap::<&str, usize>::new();
    for &(id, address) in frames {
        let symbol = match table.function(address) {
            None => Symbol::Unknown(WhyNoSymbol::NoSymbol),
            Some(function) => {
                if let Some(module) = function.module {
                    *modules.entry(module).or_default() += 1;
                }
                Symbol::Known(vec![Call { function: function.name.to_owned(), ..Call::default() }])
            }
        };
        capture.frames.set_symbol(id, symbol);
    }
    modules.into_iter().map(|(name, frames)| (name.to_owned(), frames)).collect()
}

/// The first list that fits: the one given, then perf's copy, then the running kernel's own.
fn choose(capture: &Capture, sources: &SymbolSources, warnings: &mut Vec<String>) -> Option<Names> {
    let given = sources.kallsyms.as_deref();
    given
        .and_then(|path| from_file(capture, path, &path.display(), true, warnings))
        .or_else(|| from_cache(capture, sources, warnings))
        .or_else(|| sources.running_kernel.then(|| from_running_kernel(capture, warnings))?)
}

fn from_cache(
    capture: &Capture,
    sources: &SymbolSources,
    warnings: &mut Vec<String>,
) -> Option<Names> {
    let cache = folder::Folder::open(sources.build_id_cache.as_deref()?).ok()?;
    let id = build_id::hex(build_id::of_kernel(capture)?);
    match cache.entry(&format!("[kernel.kallsyms]/{id}/kallsyms")) {
        folder::Entry::File { shown, real } => {
            from_file(capture, &real, &shown.display(), false, warnings)
        }
        folder::Entry::Missing | folder::Entry::Outside => None,
    }
}

fn from_running_kernel(capture: &Capture, warnings: &mut Vec<String>) -> Option<Names> {
    let captured = build_id::of_kernel(capture)?;
    let notes = std::fs::read(RUNNING_NOTES).ok()?;
    let running = build_id::in_notes(&notes)?;
    if !build_id::same(running, captured) {
        return None;
    }
    from_file(capture, Path::new(RUNNING_KALLSYMS), &"the running kernel", false, warnings)
}

/// Reads one list. Whatever is wrong with it becomes a warning, and the next source is asked.
fn from_file(
    capture: &Capture,
    path: &Path,
    shown: &dyn Display,
    check: bool,
    warnings: &mut Vec<String>,
) -> Option<Names> {
    match read_list(capture, path, check) {
        Ok((table, what)) => {
            if let Some(lost) = what.lost_modules() {
                warnings.push(format!("kernel symbols: {shown} {lost}"));
            }
            Some(Names { table, source: format!("{shown}: {what}") })
        }
        Err(objection) => {
            warnings.push(format!("kernel symbols: {shown} {objection}; it is not used"));
            None
        }
    }
}

fn read_list(
    capture: &Capture,
    path: &Path,
    check: bool,
) -> Result<(KernelTable, Content), String> {
    let bytes = read::read_file(path).map_err(|error| error.to_string())?;
    let mut symbols = Kallsyms::parse(&bytes).map_err(|error| error.to_string())?;
    let before = symbols.text_symbols();
    let mut slide = 0;
    if let Some((symbol, recorded)) = &capture.origin.kernel_reference {
        let moved = symbols.relocate(symbol, *recorded, slide_step(capture));
        slide = moved.map_err(|error| error.to_string())?;
    }
    let text_symbols = symbols.text_symbols();
    let content = Content { text_symbols, dropped: before - text_symbols, slide };
    let table = symbols.into_table();
    // A list that was found by the kernel's build id needs no further proof.
    let objection = check.then(|| Plausibility::of(capture, &table).objection()).flatten();
    objection.map_or(Ok((table, content)), Err)
}

/// What a slide is a multiple of: the image's alignment on x86-64, a page at least elsewhere.
fn slide_step(capture: &Capture) -> u64 {
    if capture.origin.arch.as_deref() == Some("x86_64") { 2 << 20 } else { 4096 }
}

/// What a list held.
struct Content {
    text_symbols: usize,
    dropped: usize,
    slide: u64,
}

impl Content {
    fn lost_modules(&self) -> Option<String> {
        (self.dropped > 0).then(|| {
            format!(
                "is from another boot: {} symbols of loadable modules and BPF programs were somewhere else \
                 then and are left out",
                self.dropped
            )
        })
    }
}

impl Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} text symbols", self.text_symbols)?;
        let down = self.slide.wrapping_neg();
        match self.slide {
            0 => Ok(()),
            up if up < down => write!(f, " of another boot, moved up by {up:#x}"),
            _ => write!(f, " of another boot, moved down by {down:#x}"),
        }
    }
}
