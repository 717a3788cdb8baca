//! Registers and stack bytes of a sample (`PERF_SAMPLE_REGS_USER`, `PERF_SAMPLE_STACK_USER`).

use super::bytes::Bytes;
use super::chains::ChainId;

/// A sample's registers and stack, as they lie in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawDump<'a> {
    /// Which registers there are, a bit each.
    pub mask: u64,
    /// Their values, eight bytes each.
    pub registers: &'a [u8],
    /// The stack from the stack pointer on; only what was really copied.
    pub stack: &'a [u8],
}

/// The registers that unwinding begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Registers {
    /// x86-64.
    X86 { ip: u64, sp: u64, bp: u64 },
    /// arm64.
    Arm { pc: u64, sp: u64, fp: u64, lr: u64 },
}

/// A dump that waits for its turn in the order of time.
#[derive(Clone, Debug)]
pub(super) struct StackDump {
    /// The kernel's part of the stack.
    pub chain: Option<ChainId>,
    pub registers: Registers,
    stack: Box<[u8]>,
}

/// `PERF_REG_X86_*` and `PERF_REG_ARM64_*` (`arch/*/include/uapi/asm/perf_regs.h`, Linux 6.18).
mod register {
    pub const X86_BP: u32 = 6;
    pub const X86_SP: u32 = 7;
    pub const X86_IP: u32 = 8;
    pub const ARM_FP: u32 = 29;
    pub const ARM_LR: u32 = 30;
    pub const ARM_SP: u32 = 31;
    pub const ARM_PC: u32 = 32;
}

impl RawDump<'_> {
    /// Keeps the dump; `None` if registers that unwinding needs are not there. x86 has no register at the
    /// place of arm64's program counter before 32-bit vectors begin, and those are never asked for here.
    pub fn keep(&self, chain: Option<ChainId>) -> Option<StackDump> {
        let registers = if self.mask >> register::ARM_PC & 1 == 1 {
            Registers::Arm {
                pc: self.register(register::ARM_PC)?,
                sp: self.register(register::ARM_SP)?,
                fp: self.register(register::ARM_FP)?,
                lr: self.register(register::ARM_LR)?,
            }
        } else {
            Registers::X86 {
                ip: self.register(register::X86_IP)?,
                sp: self.register(register::X86_SP)?,
                bp: self.register(register::X86_BP)?,
            }
        };
        Some(StackDump { chain, registers, stack: self.stack.into() })
    }

    /// Values stand in the order of their bits. Both architectures are little-endian.
    fn register(&self, number: u32) -> Option<u64> {
        if self.mask >> number & 1 == 0 {
            return None;
        }
        let before = (self.mask & ((1 << number) - 1)).count_ones() as usize;
        Bytes::new(self.registers.get(before * 8..)?, false).u64()
    }
}

impl StackDump {
    /// Where the thread stood.
    pub fn ip(&self) -> u64 {
        match self.registers {
            Registers::X86 { ip, .. } => ip,
            Registers::Arm { pc, .. } => pc,
        }
    }

    /// The eight bytes at an address, if they were recorded.
    pub fn read(&self, address: u64) -> Option<u64> {
        let (Registers::X86 { sp, .. } | Registers::Arm { sp, .. }) = self.registers;
        let at = usize::try_from(address.checked_sub(sp)?).ok()?;
        Bytes::new(self.stack.get(at..)?, false).u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_found_by_their_place_among_those_that_were_asked_for() {
        let mask = 1 << 0 | 1 << register::X86_BP | 1 << register::X86_SP | 1 << register::X86_IP;
        let values = [10_u64, 20, 0x7000, 40];
        let registers: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let stack: Vec<u8> = [1_u64, 2].iter().flat_map(|value| value.to_le_bytes()).collect();
        let raw = RawDump { mask, registers: &registers, stack: &stack };
        let dump = raw.keep(None).unwrap();
        assert_eq!(dump.registers, Registers::X86 { ip: 40, sp: 0x7000, bp: 20 });
        assert_eq!(
            [0x6ff8, 0x7000, 0x7008, 0x7009].map(|at| dump.read(at)),
            [None, Some(1), Some(2), None]
        );
        assert!(RawDump { mask: 1, ..raw }.keep(None).is_none());
    }
}
