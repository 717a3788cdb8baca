//! Build ids: whether a file is the one that was running.

use crate::capture::{Capture, ModuleKind};

/// perf's older records give every build id 20 bytes, a shorter one filled up with zeros.
const OLD_RECORD: usize = 20;
const NT_GNU_BUILD_ID: u32 = 3;

/// Whether a file's build id is the capture's.
pub(super) fn same(file: &[u8], capture: &[u8]) -> bool {
    if file == capture {
        return true;
    }
    let padded = capture.len() == OLD_RECORD && !file.is_empty() && file.len() < OLD_RECORD;
    padded && capture.starts_with(file) && capture[file.len()..].iter().all(|&byte| byte == 0)
}

/// The captured kernel's build id.
pub(super) fn of_kernel(capture: &Capture) -> Option<&[u8]> {
    let kernels = capture.modules.iter().filter(|(_, module)| module.kind == ModuleKind::Kernel);
    kernels.into_iter().find_map(|(_, module)| module.build_id.as_ref()).map(|id| &*id.0)
}

/// The build id among ELF notes in this machine's byte order, as `/sys/kernel/notes` holds them.
pub(super) fn in_notes(mut notes: &[u8]) -> Option<&[u8]> {
    loop {
        let name_size = word(notes, 0)?;
        let desc_size = word(notes, 4)?;
        let kind = word(notes, 8)?;
        let name = notes.get(12..)?.get(..name_size)?;
        let desc_start = 12_usize.checked_add(name_size)?.checked_next_multiple_of(4)?;
        let desc = notes.get(desc_start..)?.get(..desc_size)?;
        if name == b"GNU\0" && u32::try_from(kind) == Ok(NT_GNU_BUILD_ID) {
            return Some(desc);
        }
        notes = notes.get(desc_start.checked_add(desc_size)?.checked_next_multiple_of(4)?..)?;
    }
}

/// As people write it.
pub(super) fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_ne_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [name.len() as u32, desc.len() as u32, kind] {
            bytes.extend(word.to_ne_bytes());
        }
        for part in [name, desc] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let notes = [note(b"Linux\0", 257, &[1; 6]), note(b"GNU\0", 3, &[9; 20])].concat();
        assert_eq!(in_notes(&notes), Some(&[9; 20][..]));
    }

    #[test]
    fn damaged_notes_have_none() {
        let notes = [note(b"Xen\0", 6, &[1; 5]), note(b"GNU\0", 3, &[9; 20])].concat();
        for cut in 0..notes.len() {
            assert_eq!(in_notes(&notes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(in_notes(&[0xff; 64]), None);
    }

    #[test]
    fn a_short_id_equals_its_padded_form_in_the_capture() {
        let mut padded = [0; 20];
        padded[..8].copy_from_slice(&[7; 8]);
        assert!(same(&[7; 8], &padded));
        assert!(!same(&padded, &[7; 8]), "a file's own id is never cut");
        assert!(!same(&[], &[0; 20]));
        assert!(!same(&[8; 8], &padded));
    }
}
