//! Kernel symbols from an image or a `System.map`, which say where the kernel was linked for and not where it
//! lay.

use std::fs;
use std::path::Path;
use std::process::Command;

use coldcase_ingest::capture::{
    BuildId, Capture, Location, Mode, Module, ModuleKind, Switch, Symbol, TaskState, Timestamp,
    WhyNoSymbol,
};
use coldcase_ingest::symbols::{SymbolReport, SymbolSources, resolve};
use object::read::{Object, ObjectSymbol};
use tempfile::TempDir;

use crate::fixture::reason;

/// `switch_to` is inlined into `__schedule`.
const SOURCE: &str = "\
__asm__(\".globl _text\\n_text: nop\\n\");
volatile int runnable;
static inline __attribute__((always_inline)) void switch_to(int next) {
    runnable = next;
}
__attribute__((noinline)) void __schedule(int next) {
    while (!runnable) switch_to(next);
}
void _start(void) { __schedule(1); }
";
const LINKED: u64 = 0xffff_ffff_8100_0000;
const SLIDE: u64 = 0x0a20_0000;
const ID: [u8; 20] = [7; 20];

struct Image {
    folder: TempDir,
    /// `__schedule` as linked: its address and its size.
    schedule: (u64, u64),
    map: String,
}

fn image() -> Image {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("kernel.c"), SOURCE).unwrap();
    let id: String = ID.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = Command::new("gcc")
        .current_dir(folder.path())
        .args(["-O2", "-g", "-nostdlib", "-static", "-fno-pic", "-mcmodel=kernel"])
        .args(["-Wl,-Ttext=0xffffffff81000000", &format!("-Wl,--build-id=0x{id}")])
        .args(["-o", "vmlinux", "kernel.c"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = fs::read(folder.path().join("vmlinux")).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok("__schedule")).unwrap();
    let schedule = (symbol.address(), symbol.size());
    let lines = file.symbols().filter(|symbol| symbol.address() >= LINKED);
    let map = lines.map(|symbol| format!("{:x} T {}\n", symbol.address(), symbol.name().unwrap()));
    Image { map: map.collect(), schedule, folder }
}

/// A capture of a kernel that was moved; `proves` adds switches, which pass through the scheduler.
fn capture(image: &Image, id: Option<[u8; 20]>, reference: bool, proves: bool) -> Capture {
    let mut capture = Capture::default();
    capture.origin.arch = Some("x86_64".to_owned());
    capture.origin.kernel = Some("6.18.0".to_owned());
    if reference {
        capture.origin.kernel_reference = Some(("_text".to_owned(), LINKED + SLIDE));
    }
    let build_id = id.map(|id| BuildId(id.into()));
    let path = "[kernel.kallsyms]".to_owned();
    capture.modules.intern(Module { path, kind: ModuleKind::Kernel, build_id });
    let slide = if reference { SLIDE } else { 0 };
    for byte in 1..image.schedule.1 {
        let address = Location::Address(image.schedule.0 + slide + byte);
        let frame = capture.frames.intern(Mode::Kernel, address);
        let stack = Some(capture.stacks.intern(&[frame]));
        let (time, state) = (Timestamp(byte), TaskState::Sleeping);
        if proves {
            capture.switches.push(Switch {
                time,
                cpu: None,
                out: None,
                into: None,
                state,
                stack,
                priority: None,
            });
        }
    }
    capture
}

fn resolved(capture: &mut Capture, symfs: &Path) -> SymbolReport {
    let sources = SymbolSources { symfs: vec![symfs.to_owned()], ..SymbolSources::default() };
    resolve(capture, &sources)
}

fn all_are_named(capture: &Capture) -> bool {
    capture.frames.iter().all(|(_, frame)| frame.function() == Some("__schedule"))
}

#[test]
fn an_image_of_the_captured_build_is_moved_and_gives_inlined_functions() {
    let image = image();
    let mut capture = capture(&image, Some(ID), true, false);
    let report = resolved(&mut capture, image.folder.path());
    assert!(all_are_named(&capture), "{report:?}");
    assert!(report.kernel.source.contains("moved up by 0xa200000"), "{report:?}");
    let inlined = capture.frames.iter().any(|(_, frame)| match &frame.symbol {
        Symbol::Known(calls) => calls.len() == 2 && calls[0].function == "switch_to",
        Symbol::Unknown(_) => false,
    });
    assert!(inlined);
}

#[test]
fn an_image_of_another_build_is_refused_aloud() {
    let image = image();
    let mut capture = capture(&image, Some([8; 20]), true, true);
    let report = resolved(&mut capture, image.folder.path());
    assert_eq!(reason(&capture), WhyNoSymbol::NoKernelSymbols);
    assert!(report.warnings[0].contains("has build id 0707"), "{report:?}");
}

#[test]
fn an_image_whose_place_is_unknown_is_used_only_if_stacks_bear_it_out() {
    let image = image();
    for proves in [true, false] {
        let mut capture = capture(&image, Some(ID), false, proves);
        let report = resolved(&mut capture, image.folder.path());
        assert_eq!(all_are_named(&capture), proves, "{report:?}");
    }
}

#[test]
fn a_system_map_that_was_found_by_its_name_has_to_be_borne_out() {
    let image = image();
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("boot")).unwrap();
    fs::write(folder.path().join("boot/System.map-6.18.0"), &image.map).unwrap();
    for proves in [true, false] {
        let mut capture = capture(&image, None, true, proves);
        let report = resolved(&mut capture, folder.path());
        assert_eq!(all_are_named(&capture), proves, "{report:?}");
    }
}
