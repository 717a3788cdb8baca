//! Whether a file without a build id can be the one that was recorded.
//!
//! All entries of a stack but the innermost point behind a call. So in the file that was running there is a call before each of
//! them, and in another build's hardly ever.

use object::Architecture;
use object::read::Object;
use rustc_hash::FxHashSet;

use super::binary::{self, Segments};
use crate::capture::{Capture, FrameId, Mode};

/// Fewer prove nothing.
const TOO_FEW: usize = 5;
/// Signals interrupt anywhere, and a walk along frame pointers through code that has none finds an address now and then that
/// nothing returns to.
const MOST_ASTRAY: f64 = 0.1;

/// The frames of programs that some stack has behind another one of the program.
pub(super) fn of(capture: &Capture) -> FxHashSet<FrameId> {
    let mut returned_to = FxHashSet::default();
    let stacks = (0..capture.stacks.len()).map(crate::capture::StackId::from_index);
    for stack in stacks {
        let frames = capture.stacks.frames(stack).iter().copied();
        let user = frames.filter(|&frame| capture.frames.get(frame).mode == Mode::User);
        returned_to.extend(user.skip(1));
    }
    returned_to
}

/// What is wrong with a program's file, if return addresses into it, as its bytes, do not follow calls.
pub(super) fn objection(file: &[u8], offsets: impl Iterator<Item = u64>) -> Option<String> {
    let parsed = binary::parse(file).ok()?;
    let is_call = match parsed.architecture() {
        Architecture::X86_64 => follows_call_x86,
        Architecture::Aarch64 => follows_call_arm64,
        _ => return None,
    };
    let code = Segments::of(&parsed);
    let in_code = offsets.filter(|&offset| code.address_of(offset).is_some());
    let before = |offset| file.get(..usize::try_from(offset).ok()?);
    let follow: Vec<bool> = in_code.filter_map(before).map(is_call).collect();
    let (all, astray) = (follow.len(), follow.iter().filter(|follows| !**follows).count());
    (all >= TOO_FEW && astray as f64 > MOST_ASTRAY * all as f64).then(|| {
        format!(
            "is not the one that was recorded: {astray} of {all} return addresses do not follow a call"
        )
    })
}

/// `call rel32`, or `call r/m64` with whatever its operand takes (Intel SDM, volume 2, CALL and table 2-2).
fn follows_call_x86(before: &[u8]) -> bool {
    let from_end = |length: usize| before.get(before.len().checked_sub(length)?..);
    from_end(5).is_some_and(|bytes| bytes[0] == 0xe8)
        || (2..=7).any(|length| from_end(length).is_some_and(is_indirect_call))
}

/// Whether bytes are one `FF /2`, as a whole.
fn is_indirect_call(bytes: &[u8]) -> bool {
    let [0xff, operand, ..] = bytes else { return false };
    let operand = *operand;
    let (mode, register) = (operand >> 6, operand & 7);
    let index = usize::from(mode != 3 && register == 4);
    let base = if index == 1 { bytes.get(2).map_or(0, |index| index & 7) } else { register };
    let displacement = match mode {
        0 if base == 5 => 4,
        1 => 1,
        2 => 4,
        _ => 0,
    };
    operand >> 3 & 7 == 2 && bytes.len() == 2 + index + displacement
}

/// `bl`, or `blr` with or without a signed pointer (Arm ARM, C6.2).
fn follows_call_arm64(before: &[u8]) -> bool {
    before.last_chunk().is_some_and(|bytes| {
        let instruction = u32::from_le_bytes(*bytes);
        instruction >> 26 == 0b10_0101
            || instruction & 0xfeff_f800 == 0xd63f_0800
            || instruction & 0xffff_fc1f == 0xd63f_0000
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_a_call_are_known() {
        let x86: [&[u8]; 11] = [
            &[0xe8, 1, 2, 3, 4],
            &[0xff, 0xd0],
            &[0x41, 0xff, 0xd4],
            &[0xff, 0x13],
            &[0xff, 0x14, 0xc8],
            &[0xff, 0x14, 0xc5, 1, 2, 3, 4],
            &[0xff, 0x15, 1, 2, 3, 4],
            &[0xff, 0x50, 8],
            &[0xff, 0x54, 0x24, 8],
            &[0xff, 0x93, 1, 2, 3, 4],
            &[0xff, 0x94, 0x24, 1, 2, 3, 4],
        ];
        for bytes in x86 {
            assert!(follows_call_x86(bytes), "{bytes:x?}");
        }
        // jmp, a call and an instruction behind it, and nothing.
        let others: [&[u8]; 4] = [&[0xe9, 1, 2, 3, 4], &[0xff, 0xe0], &[0xff, 0xd0, 0x90], &[]];
        for bytes in others {
            assert!(!follows_call_x86(bytes), "{bytes:x?}");
        }
        for instruction in [0x9400_0010_u32, 0x97ff_fff0, 0xd63f_0100, 0xd73f_0a11, 0xd63f_0b1f] {
            assert!(follows_call_arm64(&instruction.to_le_bytes()), "{instruction:x}");
        }
        for instruction in [0x1400_0010_u32, 0xd61f_0100, 0xd65f_03c0] {
            assert!(!follows_call_arm64(&instruction.to_le_bytes()), "{instruction:x}");
        }
    }
}
