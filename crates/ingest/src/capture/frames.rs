//! Unique frames: an address with its place in a module, and its names once they are known.

use std::fmt;

use super::{FrameId, ModuleId, SeededMap};

/// One entry of a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Kernel or user.
    pub mode: Mode,
    /// Where it points.
    pub location: Location,
    /// Its name, or the reason why it has none.
    pub symbol: Symbol,
}

/// On which side of the boundary a frame lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// The kernel.
    Kernel,
    /// User space.
    User,
}

/// Where a frame points.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Location {
    /// An address as it was in memory; of the kernel, or of user memory that no mapping covers.
    Address(u64),
    /// A byte of a mapped file: the offset from the file's start (not from its link address).
    File {
        /// The file.
        module: ModuleId,
        /// The offset in bytes.
        offset: u64,
    },
    /// The capture gave a name and no address: the number of the name in this table.
    Named(u32),
}

/// A frame's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Symbol {
    /// The function, preceded by what was inlined into it: innermost first, never empty.
    Known(Vec<Call>),
    /// No name, and why.
    Unknown(WhyNoSymbol),
}

/// One function of a frame.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Call {
    /// Demangled name.
    pub function: String,
    /// Source file, where line tables say.
    pub file: Option<String>,
    /// Line in it, from 1.
    pub line: Option<u32>,
}

/// Why a frame has no name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WhyNoSymbol {
    /// Nobody asked yet.
    NotResolved,
    /// No mapping of the process covers the address.
    NoMapping,
    /// The module's file was not found in any folder that was named.
    FileNotFound,
    /// A file was found, but it is of another build: its build id is not the capture's, or return addresses do not fit.
    BuildIdMismatch,
    /// The file was found and has no symbol there.
    NoSymbol,
    /// The file was found and cannot be read as an object file.
    Unreadable,
    /// Memory without a file behind it: code made by a JIT, a heap, a stack.
    NoFile,
    /// No kernel symbols were given, and the running kernel is not the captured one.
    NoKernelSymbols,
}

impl WhyNoSymbol {
    /// The word that stands in JSON and in exports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotResolved => "not_resolved",
            Self::NoMapping => "no_mapping",
            Self::NoFile => "no_file",
            Self::FileNotFound => "file_not_found",
            Self::BuildIdMismatch => "build_id_mismatch",
            Self::NoSymbol => "no_symbol",
            Self::Unreadable => "unreadable",
            Self::NoKernelSymbols => "no_kernel_symbols",
        }
    }
}

/// Unique frames.
#[derive(Clone, Default)]
pub struct FrameTable {
    rows: Vec<Frame>,
    ids: SeededMap<(Mode, Location), FrameId>,
    names: SeededMap<String, u32>,
}

impl fmt::Debug for FrameTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameTable").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl FrameTable {
    /// The id of a frame by its place, new or known.
    pub fn intern(&mut self, mode: Mode, location: Location) -> FrameId {
        let next = FrameId::from_index(self.rows.len());
        let id = *self.ids.entry((mode, location)).or_insert(next);
        if id == next {
            let why = match location {
                Location::Address(_) if mode == Mode::User => WhyNoSymbol::NoMapping,
                _ => WhyNoSymbol::NotResolved,
            };
            self.rows.push(Frame { mode, location, symbol: Symbol::Unknown(why) });
        }
        id
    }

    /// The id of a frame that the capture knows by name only.
    pub fn intern_name(&mut self, mode: Mode, name: &str) -> FrameId {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let number = match self.names.get(name) {
            Some(&number) => number,
            None => *self.names.entry(name.to_owned()).or_insert(next),
        };
        let id = self.intern(mode, Location::Named(number));
        let call = Call { function: name.to_owned(), ..Call::default() };
        self.rows[id.index()].symbol = Symbol::Known(vec![call]);
        id
    }

    /// The frame of an id.
    #[must_use]
    pub fn get(&self, id: FrameId) -> &Frame {
        &self.rows[id.index()]
    }

    /// All frames, by id.
    pub fn iter(&self) -> impl Iterator<Item = (FrameId, &Frame)> {
        self.rows.iter().enumerate().map(|(index, frame)| (FrameId::from_index(index), frame))
    }

    /// Writes a frame's name, or a better reason for having none.
    pub fn set_symbol(&mut self, id: FrameId, symbol: Symbol) {
        self.rows[id.index()].symbol = symbol;
    }

    /// Changes the functions of frames that have names. Frames that the capture knew by their name only are no longer found by it.
    pub fn rename(&mut self, mut rename: impl FnMut(Mode, Location, &mut Call)) {
        self.names.clear();
        for frame in &mut self.rows {
            if let Symbol::Known(calls) = &mut frame.symbol {
                calls.iter_mut().for_each(|call| rename(frame.mode, frame.location, call));
            }
        }
    }

    /// Number of frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Frame {
    /// The function that the address lies in, without what was inlined into it.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        match &self.symbol {
            Symbol::Known(calls) => calls.last().map(|call| call.function.as_str()),
            Symbol::Unknown(_) => None,
        }
    }
}
