//! An ELF file: whose it is, what it holds, and where the bytes of the file lie in the program.

use std::ops::Range;

use object::elf::{PF_X, PT_LOAD};
use object::read::{Object, ObjectSection, ObjectSegment};
use object::{FileKind, ObjectKind, SegmentFlags};

/// What a file has to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// Its identity.
    pub build_id: Option<Vec<u8>>,
    /// It holds the program's code, and so says where the bytes of the file lie in the program. A file of
    /// debug information alone keeps the headers but not the offsets.
    pub code: bool,
    /// It holds DWARF.
    pub debug_info: bool,
}

impl Summary {
    /// Looks at a file's headers; the error says why it is no use.
    pub fn of(bytes: &[u8]) -> Result<Self, String> {
        let file = parse(bytes)?;
        let debug_info = file.section_by_name(".debug_info");
        Ok(Self {
            build_id: file.build_id().ok().flatten().map(<[u8]>::to_vec),
            code: is_relocatable(&file) || !Segments::of(&file).rows.is_empty(),
            debug_info: debug_info.is_some_and(|section| {
                section.size() > 0 && section.compressed_file_range().is_ok()
            }),
        })
    }
}

/// Parses an ELF file's headers.
pub(super) fn parse(bytes: &[u8]) -> Result<object::File<'_>, String> {
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf32 | FileKind::Elf64) => {}
        _ => return Err("is not an ELF file".to_owned()),
    }
    object::File::parse(bytes).map_err(|error| format!("is a damaged ELF file: {error}"))
}

/// Whether it is a kernel module's: sections, which get their addresses when it is loaded. So a debug file of it has all that
/// is needed, too.
pub(super) fn is_relocatable(file: &object::File<'_>) -> bool {
    file.kind() == ObjectKind::Relocatable
}

/// Which bytes of the file become which addresses of code.
pub(super) struct Segments {
    rows: Vec<Segment>,
}

struct Segment {
    offset: u64,
    size: u64,
    address: u64,
}

impl Segments {
    /// The segments that hold code.
    pub fn of(file: &object::File<'_>) -> Self {
        let rows = file.segments().filter_map(|segment| {
            let (offset, size) = segment.file_range();
            let executable = matches!(
                segment.flags(),
                SegmentFlags::Elf { p_type: PT_LOAD, p_flags } if p_flags.contains(PF_X)
            );
            (executable && size > 0).then(|| Segment { offset, size, address: segment.address() })
        });
        Self { rows: rows.collect() }
    }

    /// The address, as the file itself counts them, of the file's byte 0, by the segment that has code among
    /// these bytes of the file. Mappings begin at whole pages, and so mostly before their segment.
    pub fn origin_of(&self, bytes: Range<u64>) -> Option<u64> {
        let overlaps = |segment: &&Segment| {
            segment.offset < bytes.end && bytes.start < segment.offset.saturating_add(segment.size)
        };
        let segment = self.rows.iter().find(overlaps)?;
        Some(segment.address.wrapping_sub(segment.offset))
    }

    /// The address, as the file itself counts them, of a byte of the file.
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        self.rows.iter().find_map(|segment| {
            let inside = offset.checked_sub(segment.offset)?;
            (inside < segment.size).then(|| segment.address.wrapping_add(inside))
        })
    }
}
