//! Which list of kernel symbols fits the capture: kallsyms, System.map or a kernel's image.

use std::fmt::Display;
use std::path::Path;
use std::thread::{self, JoinHandle};

use super::folder::{Entry, Folder};
use super::kallsyms::{Kallsyms, KernelTable};
use super::plausible::Plausibility;
use super::{SymbolSources, build_id, kernel_image, read};
use crate::capture::{Capture, Sentence};

/// Where the running kernel tells of itself.
const RUNNING_NOTES: &str = "/sys/kernel/notes";
const RUNNING_KALLSYMS: &str = "/proc/kallsyms";

/// A list of symbols that fits the capture.
pub(super) struct Names {
    pub table: KernelTable,
    /// Where it comes from, for a person.
    pub source: Sentence,
    /// The image that it was taken from, which may have DWARF, and by how much it was moved.
    pub image: Option<(Vec<u8>, u64)>,
}

/// How much a list has to prove.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    /// It was found by the kernel's build id.
    Known,
    /// It was named by a person: it must not contradict the capture.
    Named,
    /// It was found by its name alone: the capture must bear it out.
    Found,
}

/// The kernel's symbols, chosen when they are first asked for.
pub(super) struct KernelList {
    /// The list that a person named, read by a thread of its own while the capture is.
    given: Option<JoinHandle<Result<List, String>>>,
    chosen: Option<Names>,
}

impl KernelList {
    /// Begins to read what was named.
    pub fn start(sources: &SymbolSources) -> Self {
        let path = sources.kallsyms.clone();
        Self { given: path.map(|path| thread::spawn(move || List::read(&path))), chosen: None }
    }

    /// The list that fits the capture, or fitted what was read of it when one was first asked for.
    pub fn of(
        &mut self,
        capture: &Capture,
        sources: &SymbolSources,
        warnings: &mut Vec<Sentence>,
    ) -> Option<&Names> {
        if self.chosen.is_none() {
            self.chosen = self.choose(capture, sources, warnings);
        }
        self.chosen.as_ref()
    }

    /// The first list that fits: the one given, then the bundle's, then those in the folders, then perf's copy, then the
    /// running kernel's own.
    fn choose(
        &mut self,
        capture: &Capture,
        sources: &SymbolSources,
        warnings: &mut Vec<Sentence>,
    ) -> Option<Names> {
        let given = sources.kallsyms.as_deref().zip(self.given.take());
        given
            .and_then(|(path, list)| {
                // A thread that panicked has read nothing.
                let list = list.join().unwrap_or_else(|_| Err("cannot be read".to_owned()));
                let shown = Sentence::default().path(path.display());
                from_list(capture, list, shown, Check::Named, warnings)
            })
            .or_else(|| from_bundle(capture, warnings))
            .or_else(|| from_folders(capture, sources, warnings))
            .or_else(|| from_cache(capture, sources, warnings))
            .or_else(|| sources.running_kernel.then(|| from_running_kernel(capture, warnings))?)
    }
}

/// A list as it is read, before it is known where the captured kernel lay.
enum List {
    Symbols(Kallsyms),
    Image(Vec<u8>),
}

impl List {
    fn read(path: &Path) -> Result<Self, String> {
        Self::of(read::read_file(path).map_err(|error| error.to_string())?)
    }

    fn of(bytes: Vec<u8>) -> Result<Self, String> {
        if kernel_image::is_image(&bytes) {
            return Ok(Self::Image(bytes));
        }
        Kallsyms::parse(bytes).map(Self::Symbols).map_err(|error| error.to_string())
    }
}

/// Where a folder that stands for the captured machine's root, or a kernel's debug package, may have it. Not
/// `proc/kallsyms`: a folder that is this machine's root has this machine's there.
fn names_in_folder(capture: &Capture) -> Vec<String> {
    let mut names = vec!["kallsyms".to_owned()];
    if let Some(id) = build_id::of_kernel(capture).map(build_id::hex)
        && let Some((first, rest)) = id.split_at_checked(2)
    {
        names.extend([
            format!(".build-id/{first}/{rest}/kallsyms"),
            format!("[kernel.kallsyms]/{id}/kallsyms"),
            format!(".build-id/{first}/{rest}/vmlinux"),
            format!(".build-id/{first}/{rest}/elf"),
            format!(".build-id/{first}/{rest}.debug"),
            format!("usr/lib/debug/.build-id/{first}/{rest}.debug"),
            format!("{id}/debuginfo"),
        ]);
    }
    if let Some(release) = &capture.origin.kernel {
        names.extend([
            format!("usr/lib/debug/boot/vmlinux-{release}"),
            format!("usr/lib/debug/lib/modules/{release}/vmlinux"),
            format!("lib/modules/{release}/build/vmlinux"),
            format!("lib/modules/{release}/vmlinux"),
            format!("boot/vmlinux-{release}"),
            format!("boot/System.map-{release}"),
            format!("lib/modules/{release}/System.map"),
        ]);
    }
    names.extend(["vmlinux".to_owned(), "System.map".to_owned()]);
    names
}

/// What a bundle brought along is of the captured kernel, but it is checked like what a person names.
fn from_bundle(capture: &Capture, warnings: &mut Vec<Sentence>) -> Option<Names> {
    let bytes = capture.kallsyms.as_deref()?;
    let list = List::of(bytes.to_vec());
    from_list(capture, list, Sentence::from("the bundle's kallsyms"), Check::Named, warnings)
}

fn from_folders(
    capture: &Capture,
    sources: &SymbolSources,
    warnings: &mut Vec<Sentence>,
) -> Option<Names> {
    let folders = sources.symfs.iter().chain(&sources.debug_folders);
    for folder in folders.filter_map(|path| Folder::open(path).ok()) {
        for name in names_in_folder(capture) {
            for name in [format!("{name}.zst"), name] {
                if let Entry::File { shown, real } = folder.entry(&name)
                    && let Some(names) = from_file(
                        capture,
                        &real,
                        Sentence::default().path(shown.display()),
                        Check::Found,
                        warnings,
                    )
                {
                    return Some(names);
                }
            }
        }
    }
    None
}

fn from_cache(
    capture: &Capture,
    sources: &SymbolSources,
    warnings: &mut Vec<Sentence>,
) -> Option<Names> {
    let cache = Folder::open(sources.build_id_cache.as_deref()?).ok()?;
    let id = build_id::hex(build_id::of_kernel(capture)?);
    let places =
        [format!("[kernel.kallsyms]/{id}/kallsyms"), format!("[kernel.kallsyms]/{id}/vmlinux")];
    places.iter().find_map(|place| match cache.entry(place) {
        Entry::File { shown, real } => from_file(
            capture,
            &real,
            Sentence::default().path(shown.display()),
            Check::Known,
            warnings,
        ),
        Entry::Missing | Entry::Outside => None,
    })
}

fn from_running_kernel(capture: &Capture, warnings: &mut Vec<Sentence>) -> Option<Names> {
    let captured = build_id::of_kernel(capture)?;
    let notes = std::fs::read(RUNNING_NOTES).ok()?;
    let running = build_id::in_notes(&notes)?;
    if !build_id::same(running, captured) {
        return None;
    }
    let path = Path::new(RUNNING_KALLSYMS);
    from_file(capture, path, "the running kernel".into(), Check::Known, warnings)
}

/// Reads one list.
fn from_file(
    capture: &Capture,
    path: &Path,
    shown: Sentence,
    check: Check,
    warnings: &mut Vec<Sentence>,
) -> Option<Names> {
    from_list(capture, List::read(path), shown, check, warnings)
}

/// Whatever is wrong with a list becomes a warning, and the next source is asked.
fn from_list(
    capture: &Capture,
    list: Result<List, String>,
    shown: Sentence,
    check: Check,
    warnings: &mut Vec<Sentence>,
) -> Option<Names> {
    let about = Sentence::from("kernel symbols: ").sentence(&shown);
    match list.and_then(|list| fit(capture, list, check)) {
        Ok((table, what, image)) => {
            if let Some(lost) = what.lost_modules() {
                warnings.push(about.words(&format!(" {lost}")));
            }
            let image = image.map(|bytes| (bytes, what.slide));
            Some(Names { table, source: shown.words(&format!(": {what}")), image })
        }
        Err(objection) => {
            warnings.push(about.words(&format!(" {objection}; it is not used")));
            None
        }
    }
}

fn fit(
    capture: &Capture,
    list: List,
    check: Check,
) -> Result<(KernelTable, Content, Option<Vec<u8>>), String> {
    let (mut symbols, check, image) = match list {
        List::Image(bytes) => {
            let same = same_build(&bytes, capture)?;
            // An image says where it was linked for, not where it lay.
            let moved_unseen = capture.origin.kernel_reference.is_none();
            let check = match (same, moved_unseen) {
                (true, false) => Check::Known,
                (_, true) => Check::Found,
                (false, false) => check,
            };
            (kernel_image::symbols(&bytes)?, check, Some(bytes))
        }
        List::Symbols(symbols) => (symbols, check, None),
    };
    let is_image = image.is_some();
    let before = symbols.text_symbols();
    let mut slide = 0;
    if let Some((symbol, recorded)) = &capture.origin.kernel_reference {
        let moved = symbols.relocate(symbol, *recorded, slide_step(capture));
        slide = moved.map_err(|error| error.to_string())?;
    }
    let text_symbols = symbols.text_symbols();
    let content = Content { text_symbols, dropped: before - text_symbols, slide, is_image };
    let table = symbols.into_table();
    let objection = match check {
        Check::Known => None,
        Check::Named => Plausibility::of(capture, &table).objection(),
        Check::Found => Plausibility::of(capture, &table).doubt(),
    };
    objection.map_or(Ok((table, content, image)), Err)
}

/// Whether an image has the captured kernel's build id; another one is an error.
fn same_build(image: &[u8], capture: &Capture) -> Result<bool, String> {
    match (kernel_image::build_id(image), build_id::of_kernel(capture)) {
        (Some(id), Some(wanted)) if !build_id::same(&id, wanted) => {
            Err(format!("has build id {}, not {}", build_id::hex(&id), build_id::hex(wanted)))
        }
        (id, wanted) => Ok(id.is_some() && wanted.is_some()),
    }
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
    is_image: bool,
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
        let whence = if self.is_image { "" } else { " of another boot" };
        let down = self.slide.wrapping_neg();
        match self.slide {
            0 => Ok(()),
            up if up < down => write!(f, "{whence}, moved up by {up:#x}"),
            _ => write!(f, "{whence}, moved down by {down:#x}"),
        }
    }
}
