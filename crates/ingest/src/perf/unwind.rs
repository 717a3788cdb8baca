//! Stacks from registers and stack bytes (`perf record --call-graph dwarf`).
//!
//! A sample then holds the kernel's part of the stack as addresses, and of user space the registers and the
//! first kilobytes of the stack. What called what is found by the programs' own unwind tables (`.eh_frame`), so
//! it takes the captured machine's files, and the mappings of the moment. A stack is followed only as far as
//! these tables lead: at the first module whose file is missing it ends, and nothing is guessed.

use std::collections::BTreeMap;
use std::ops::Range;

use framehop::aarch64::{CacheAarch64, PtrAuthMask, UnwindRegsAarch64, UnwinderAarch64};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module as Code, Unwinder as _};
use rustc_hash::FxHashMap;

use super::dump::{Registers, StackDump};
use super::space::{Mapping, Spaces};
use crate::capture::{Capture, ModuleId, Sentence};
use crate::symbols::{Program, Programs, Section};

/// No stack has more frames: what goes on is a loop. perf's own limit is 127.
const MOST_FRAMES: usize = 1024;
/// The last address of user space on arm64 with its usual 48 bits; above are the bits by which a return address is signed
/// (`Documentation/arch/arm64/pointer-authentication.rst`, Linux 6.12). Larger addresses only those get who ask for them.
const LAST_OF_ARM: u64 = (1 << 48) - 1;
/// Mappings that change with every sample would take time without an end.
const MOST_PREPARED: usize = 2_000_000;

/// Unwinds stacks, process by process.
pub(super) struct Unwinder {
    programs: Programs,
    files: FxHashMap<ModuleId, Option<Program>>,
    processes: FxHashMap<i32, Process>,
    /// Mappings that were made ready so far, again after every change of a process.
    prepared: usize,
    ends: Ends,
}

/// Why stacks ended early.
#[derive(Default)]
struct Ends {
    /// In a module whose file is missing, by its path.
    without_file: BTreeMap<String, u64>,
    /// Where no file was mapped.
    unmapped: u64,
    /// Below the bytes that were recorded.
    cut: u64,
    /// Not unwound, since mappings changed too often.
    given_up: u64,
}

/// The code that a process had mapped.
struct Process {
    /// Of its mappings: another one, and this is out of date.
    revision: u32,
    /// In order.
    known: Vec<Range<u64>>,
    machine: Machine,
}

/// Unwind tables and a cache of what they say, by architecture.
enum Machine {
    X86(Box<(UnwinderX86_64<Section>, CacheX86_64)>),
    Arm(Box<(UnwinderAarch64<Section>, CacheAarch64)>),
}

/// How far a stack could be followed.
enum End {
    /// To its outermost frame.
    Outermost,
    /// To an address in no known program.
    Unknown(u64),
    /// To the end of the recorded bytes, or to something that no table explains.
    Cut,
}

impl Unwinder {
    pub fn new(programs: Programs) -> Self {
        Self {
            programs,
            files: FxHashMap::default(),
            processes: FxHashMap::default(),
            prepared: 0,
            ends: Ends::default(),
        }
    }

    /// The addresses of user space, innermost first, as they would stand in a callchain.
    pub fn unwind(
        &mut self,
        dump: &StackDump,
        pid: i32,
        spaces: &Spaces,
        capture: &Capture,
    ) -> Vec<u64> {
        let Some((mappings, revision)) = spaces.mappings(pid) else { return vec![dump.ip()] };
        if self.processes.get(&pid).is_none_or(|process| process.revision != revision) {
            self.prepared += mappings.len();
            if self.prepared > MOST_PREPARED {
                self.ends.given_up += 1;
                return vec![dump.ip()];
            }
            let process = self.process(mappings, revision, dump, capture);
            self.processes.insert(pid, process);
        }
        let Some(process) = self.processes.get_mut(&pid) else { return vec![dump.ip()] };
        let (frames, end) = process.walk(dump);
        match end {
            End::Outermost => {}
            End::Cut => self.ends.cut += 1,
            End::Unknown(address) => {
                let mapping = mappings.range(..=address).next_back().map(|(_, mapping)| mapping);
                let mapping = mapping.filter(|mapping| mapping.covers(address));
                match mapping.and_then(|mapping| mapping.module) {
                    Some(id) => {
                        let path = capture.modules.get(id).path.clone();
                        *self.ends.without_file.entry(path).or_default() += 1;
                    }
                    None => self.ends.unmapped += 1,
                }
            }
        }
        frames
    }

    fn process(
        &mut self,
        mappings: &BTreeMap<u64, Mapping>,
        revision: u32,
        dump: &StackDump,
        capture: &Capture,
    ) -> Process {
        let mut process = Process { revision, known: Vec::new(), machine: Machine::of(dump) };
        for mapping in mappings.values() {
            let Some(id) = mapping.module else { continue };
            let programs = &self.programs;
            let file =
                self.files.entry(id).or_insert_with(|| programs.program(capture.modules.get(id)));
            if let Some(code) = file.as_ref().and_then(|file| code(file, mapping)) {
                process.known.push(code.avma_range());
                process.machine.add(code);
            }
        }
        process
    }

    /// What could not be unwound, for a person.
    pub fn complaints(&self) -> Vec<Sentence> {
        const SPELLED_OUT: usize = 3;
        let Ends { without_file, unmapped, cut, given_up } = &self.ends;
        let mut missing: Vec<(&String, &u64)> = without_file.iter().collect();
        missing.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let missing = missing.iter().take(SPELLED_OUT).map(|(path, count)| {
            Sentence::from(format!("{count} user stacks end early in "))
                .path(path)
                .words(": its file is needed to unwind them (--symfs)")
        });
        let other = [
            (*unmapped, "in memory without a file"),
            (*given_up, "because mappings changed too often"),
            (*cut, "where what was recorded of the stack ends (--call-graph dwarf,SIZE)"),
        ];
        let other = other.iter().filter(|(count, _)| *count > 0);
        missing
            .chain(
                other.map(|(count, why)| {
                    Sentence::from(format!("{count} user stacks end early {why}"))
                }),
            )
            .collect()
    }
}

impl Process {
    fn walk(&mut self, dump: &StackDump) -> (Vec<u64>, End) {
        let known = |address: u64| {
            let after = self.known.partition_point(|range| range.start <= address);
            after.checked_sub(1).is_some_and(|at| self.known[at].contains(&address))
        };
        let mut read = |address: u64| dump.read(address).ok_or(());
        match (&mut self.machine, dump.registers) {
            (Machine::X86(machine), Registers::X86 { ip, sp, bp }) => {
                let (unwinder, cache) = &mut **machine;
                let registers = UnwindRegsX86_64::new(ip, sp, bp);
                let mut frames = unwinder.iter_frames(ip, registers, cache, &mut read);
                follow(|| frames.next(), known)
            }
            (Machine::Arm(machine), Registers::Arm { pc, sp, fp, lr }) => {
                let (unwinder, cache) = &mut **machine;
                let mask = PtrAuthMask::from_max_known_address(LAST_OF_ARM);
                let mut registers = UnwindRegsAarch64::new_with_ptr_auth_mask(mask, lr, sp, fp);
                let mut frame = None;
                let mut at_end = false;
                let next = || {
                    frame = match frame {
                        None => Some(FrameAddress::from_instruction_pointer(pc)),
                        Some(_) if at_end => None,
                        Some(callee) => {
                            let known =
                                unwinder.unwind_frame(callee, &mut registers, cache, &mut read)?;
                            at_end = known.is_none();
                            let caller = known.or_else(|| first_caller(dump, registers.fp(), mask));
                            caller.and_then(FrameAddress::from_return_address)
                        }
                    };
                    Ok(frame)
                };
                follow(next, known)
            }
            _ => (vec![dump.ip()], End::Cut),
        }
    }
}

/// Who called the function whose frame record is the outermost, 0 in the place of the next: `_start` or a thread's. framehop takes such a
/// record for the stack's end, though it holds a return address.
fn first_caller(dump: &StackDump, record: u64, mask: PtrAuthMask) -> Option<u64> {
    let outermost = record != 0 && dump.read(record)? == 0;
    let caller = mask.strip_ptr_auth(dump.read(record.checked_add(8)?)?);
    (outermost && caller != 0).then_some(caller)
}

/// Collects frames up to the first that lies in no known program: beyond it, frame pointers would be
/// trusted that may be none.
fn follow(
    mut next: impl FnMut() -> Result<Option<FrameAddress>, framehop::Error>,
    known: impl Fn(u64) -> bool,
) -> (Vec<u64>, End) {
    let mut frames = Vec::new();
    loop {
        match next() {
            Ok(None) => return (frames, End::Outermost),
            Err(_) => return (frames, End::Cut),
            Ok(Some(frame)) => {
                frames.push(frame.address());
                if !known(frame.address_for_lookup()) {
                    return (frames, End::Unknown(frame.address_for_lookup()));
                }
                if frames.len() == MOST_FRAMES {
                    return (frames, End::Cut);
                }
            }
        }
    }
}

impl Machine {
    fn of(dump: &StackDump) -> Self {
        match dump.registers {
            Registers::X86 { .. } => {
                Self::X86(Box::new((UnwinderX86_64::new(), CacheX86_64::new())))
            }
            Registers::Arm { .. } => {
                Self::Arm(Box::new((UnwinderAarch64::new(), CacheAarch64::new())))
            }
        }
    }

    fn add(&mut self, code: Code<Section>) {
        match self {
            Self::X86(machine) => machine.0.add_module(code),
            Self::Arm(machine) => machine.0.add_module(code),
        }
    }
}

/// A program's unwind tables at the place where it is mapped.
fn code(program: &Program, mapping: &Mapping) -> Option<Code<Section>> {
    let length = mapping.end.checked_sub(mapping.start)?;
    let in_file = mapping.file_offset..mapping.file_offset.checked_add(length)?;
    let first_byte = mapping.start.wrapping_sub(mapping.file_offset);
    let base = first_byte.wrapping_sub(program.origin(in_file)?);
    let split = |name| program.section(name).unzip();
    let (text_svma, text) = split(".text");
    let (eh_frame_svma, eh_frame) = split(".eh_frame");
    let (eh_frame_hdr_svma, eh_frame_hdr) = split(".eh_frame_hdr");
    let (_, debug_frame) = split(".debug_frame");
    let (got_svma, _) = split(".got");
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma,
        text,
        got_svma,
        eh_frame_svma,
        eh_frame,
        eh_frame_hdr_svma,
        eh_frame_hdr,
        debug_frame,
        ..ExplicitModuleSectionInfo::default()
    };
    Some(Code::new(String::new(), mapping.start..mapping.end, base, sections))
}
