//! Names of kernel addresses, from a list of symbols that fits the capture.

use std::fs;
use std::path::PathBuf;

use coldcase_ingest::capture::{
    BuildId, Capture, FrameId, Location, Mode, Module, ModuleKind, StackId, Switch, TaskState,
    Timestamp, WhyNoSymbol,
};
use coldcase_ingest::symbols::{SymbolSources, resolve};
use tempfile::TempDir;

use crate::fixture::reason;

const LIST: &str = "\
ffffffff81000000 T _text
ffffffff81000100 T entry_SYSCALL_64_after_hwframe
ffffffff81001000 t __schedule
ffffffff81002000 T schedule
ffffffff81003000 T rwsem_down_write_slowpath
ffffffff81004000 T _etext
ffffffffc0201000 t ext4_sync_file\t[ext4]
ffffffffc0202000 t ext4_end\t[ext4]
";

const ADDRESSES: [u64; 4] =
    [0xffff_ffff_8100_1010, 0xffff_ffff_8100_3010, 0xffff_ffff_8100_0110, 0xffff_ffff_c020_1010];

/// A capture whose threads left the CPU in `__schedule`, under several callers.
fn capture() -> Capture {
    let mut capture = Capture::default();
    let frames = ADDRESSES.map(|address| kernel_frame(&mut capture, address));
    for callers in 1..=3 {
        let stack = capture.stacks.intern(&frames[..callers]);
        capture.switches.push(switch(stack));
    }
    capture
}

fn kernel_frame(capture: &mut Capture, address: u64) -> FrameId {
    capture.frames.intern(Mode::Kernel, Location::Address(address))
}

fn switch(stack: StackId) -> Switch {
    Switch {
        time: Timestamp(0),
        cpu: None,
        out: None,
        into: None,
        state: TaskState::Uninterruptible,
        stack: Some(stack),
        priority: None,
    }
}

fn names(capture: &Capture) -> Vec<Option<&str>> {
    capture.frames.iter().map(|(_, frame)| frame.function()).collect()
}

fn kallsyms(folder: &TempDir, bytes: &[u8]) -> SymbolSources {
    let path = folder.path().join("kallsyms");
    fs::write(&path, bytes).unwrap();
    SymbolSources { kallsyms: Some(path), ..SymbolSources::default() }
}

const NAMES: [Option<&str>; 4] = [
    Some("__schedule"),
    Some("rwsem_down_write_slowpath"),
    Some("entry_SYSCALL_64_after_hwframe"),
    Some("ext4_sync_file"),
];

#[test]
fn plain_and_compressed_lists_are_read() {
    let folder = TempDir::new().unwrap();
    for bytes in [LIST.as_bytes().to_vec(), zstd::encode_all(LIST.as_bytes(), 3).unwrap()] {
        let mut capture = capture();
        let report = resolve(&mut capture, &kallsyms(&folder, &bytes));
        assert_eq!(names(&capture), NAMES);
        assert_eq!((report.kernel.frames.resolved, report.kernel.frames.total), (4, 4));
        assert_eq!(report.kernel.modules, [("ext4".to_owned(), 1)]);
        assert!(report.kernel.source.ends_with("kallsyms: 8 text symbols"), "{report:?}");
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    }
}

#[test]
fn a_list_of_another_boot_is_moved() {
    let folder = TempDir::new().unwrap();
    let mut capture = capture();
    capture.origin.kernel_reference = Some(("_text".to_owned(), 0xffff_ffff_8100_0000));
    let listed = LIST.replace("ffffffff810", "ffffffff9b0");
    let report = resolve(&mut capture, &kallsyms(&folder, listed.as_bytes()));
    assert_eq!(names(&capture), [NAMES[0], NAMES[1], NAMES[2], None]);
    assert!(report.kernel.source.contains("moved down by 0x1a000000"), "{report:?}");
    assert!(report.warnings[0].contains("2 symbols of loadable modules"), "{report:?}");
}

#[test]
fn a_list_moved_by_an_odd_distance_is_another_kernels() {
    let folder = TempDir::new().unwrap();
    let mut capture = capture();
    capture.origin.arch = Some("x86_64".to_owned());
    capture.origin.kernel_reference = Some(("_text".to_owned(), 0xffff_ffff_8110_0000));
    let report = resolve(&mut capture, &kallsyms(&folder, LIST.as_bytes()));
    assert_eq!(reason(&capture), WhyNoSymbol::NoKernelSymbols);
    assert!(report.warnings[0].contains("another kernel's; it is not used"), "{report:?}");
}

#[test]
fn another_kernels_list_is_seen_by_the_stacks() {
    let folder = TempDir::new().unwrap();
    let mut capture = capture();
    // Same _text, but all that follows lies elsewhere: no stack passes through the scheduler.
    let listed = LIST.replace("__schedule", "tcp_sendmsg").replace(" schedule", " ip_rcv");
    let report = resolve(&mut capture, &kallsyms(&folder, listed.as_bytes()));
    assert_eq!(reason(&capture), WhyNoSymbol::NoKernelSymbols);
    assert!(report.warnings[0].contains("only 0 of 3 stacks"), "{report:?}");
}

#[test]
fn hidden_addresses_are_said_to_be_hidden() {
    let folder = TempDir::new().unwrap();
    let mut capture = capture();
    let hidden: String = LIST.lines().map(|line| format!("{:016x}{}\n", 0, &line[16..])).collect();
    let report = resolve(&mut capture, &kallsyms(&folder, hidden.as_bytes()));
    assert_eq!(reason(&capture), WhyNoSymbol::NoKernelSymbols);
    assert!(report.warnings[0].contains("kptr_restrict"), "{report:?}");
}

#[test]
fn perfs_copy_is_used_if_it_is_the_captured_kernels() {
    let folder = TempDir::new().unwrap();
    let id = "00112233445566778899aabbccddeeff00112233";
    let copy = folder.path().join(format!("[kernel.kallsyms]/{id}/kallsyms"));
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::write(&copy, LIST).unwrap();
    let sources = SymbolSources {
        build_id_cache: Some(folder.path().to_owned()),
        kallsyms: Some(PathBuf::from("/nonexistent/kallsyms")),
        ..SymbolSources::default()
    };

    let mut with_id = capture();
    with_id.modules.intern(kernel_module((0..20).map(|at| (at % 16) * 0x11).collect()));
    let report = resolve(&mut with_id, &sources);
    assert_eq!(names(&with_id), NAMES);
    assert!(report.warnings[0].contains("/nonexistent/kallsyms"), "{report:?}");

    let mut other = capture();
    other.modules.intern(kernel_module([9; 20].into()));
    resolve(&mut other, &sources);
    assert_eq!(reason(&other), WhyNoSymbol::NoKernelSymbols);
}

#[test]
fn the_running_kernel_is_not_taken_for_another() {
    let mut capture = capture();
    capture.modules.intern(kernel_module([9; 20].into()));
    let sources = SymbolSources { running_kernel: true, ..SymbolSources::default() };
    let report = resolve(&mut capture, &sources);
    assert_eq!(reason(&capture), WhyNoSymbol::NoKernelSymbols);
    assert!(report.kernel.source.contains("no symbols of the captured kernel"));
}

#[test]
fn names_that_the_capture_gave_stay() {
    let mut capture = Capture::default();
    capture.frames.intern_name(Mode::Kernel, "mutex_lock");
    let report = resolve(&mut capture, &SymbolSources::default());
    assert_eq!(names(&capture), [Some("mutex_lock")]);
    assert_eq!((report.kernel.frames.resolved, report.kernel.frames.total), (1, 1));
}

fn kernel_module(id: Box<[u8]>) -> Module {
    Module {
        path: "[kernel.kallsyms]".to_owned(),
        kind: ModuleKind::Kernel,
        build_id: Some(BuildId(id)),
    }
}
