//! Callchains as `perf script` prints them: a frame a line, innermost first, an empty line behind.
//!
//! ```text
//!         ffffffff813aa9c4 try_to_wake_up+0x3a4 ([kernel.kallsyms])
//!                   146f2c [unknown] (/usr/bin/perf)
//! ```

use super::builder::Builder;
use super::number;
use crate::capture::{FrameId, Location, Mode, Module, ModuleKind, SeededMap, StackId};

/// Callchains that have been read, by their text.
#[derive(Default)]
pub(super) struct Chains<'a> {
    chains: SeededMap<&'a [u8], Option<StackId>>,
    lines: SeededMap<&'a [u8], Option<FrameId>>,
    frames: Vec<FrameId>,
}

impl<'a> Chains<'a> {
    /// The stack of a block of lines; `None` if no line of it is a frame.
    pub fn stack(&mut self, block: &'a [u8], out: &mut Builder<'a>) -> Option<StackId> {
        if let Some(&known) = self.chains.get(block) {
            return known;
        }
        self.frames.clear();
        for line in block.split(|&byte| byte == b'\n') {
            let frame = *self.lines.entry(line).or_insert_with(|| frame(line, out));
            self.frames.extend(frame);
        }
        let stack = (!self.frames.is_empty()).then(|| out.capture.stacks.intern(&self.frames));
        self.chains.insert(block, stack);
        stack
    }
}

/// One line's frame; `None` for a line of the source (`  file.c:12`) and for what is none.
fn frame<'a>(line: &'a [u8], out: &mut Builder<'a>) -> Option<FrameId> {
    let text = line.trim_ascii();
    let (text, module) = module(text);
    let first = memchr::memchr(b' ', text).unwrap_or(text.len());
    let address = number::hex(&text[..first])
        .filter(|_| line.starts_with(b"\t") || line.starts_with(b"     "));
    let name = if address.is_some() { text[first..].trim_ascii() } else { text };
    if address.is_none() && module.is_none() {
        return None;
    }
    let mode = mode(address, module);
    let name = without_offset(name);
    if !name.is_empty() && name != b"[unknown]" && name != b"0x0" {
        return Some(out.named_frame(mode, name));
    }
    let address = address?;
    let location = match module {
        // perf prints the place in the file where it knows one (`sample__fprintf_callchain`, Linux 3.x to 6.x).
        Some(path) if path.starts_with(b"/") && mode == Mode::User => {
            let path = String::from_utf8_lossy(path).into_owned();
            let module = Module { path, kind: ModuleKind::User, build_id: None };
            Location::File { module: out.capture.modules.intern(module), offset: address }
        }
        _ => Location::Address(address),
    };
    Some(out.capture.frames.intern(mode, location))
}

/// Splits ` (module)` off; names of modules and functions may hold parentheses themselves.
fn module(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut depth = 0_u32;
    if text.last() != Some(&b')') {
        return (text, None);
    }
    for (at, &byte) in text.iter().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let module = &text[at + 1..text.len() - 1];
            return (text[..at].trim_ascii_end(), Some(module));
        }
    }
    (text, None)
}

/// Kernel addresses have their highest bit set; a kernel module stands in brackets, and so does little of user space.
fn mode(address: Option<u64>, module: Option<&[u8]>) -> Mode {
    const USER: &[&[u8]] =
        &[b"[vdso]", b"[vsyscall]", b"[heap]", b"[stack]", b"[unknown]", b"[anon]"];
    let kernel = match (address, module) {
        (Some(address), _) if address >> 63 == 1 => true,
        (_, Some(module)) if module.ends_with(b".ko") || module.ends_with(b"/vmlinux") => true,
        (_, Some(module)) => module.starts_with(b"[") && !USER.contains(&module),
        _ => false,
    };
    if kernel { Mode::Kernel } else { Mode::User }
}

/// A function without `+0x1f`.
fn without_offset(name: &[u8]) -> &[u8] {
    match memchr::memmem::rfind(name, b"+0x") {
        Some(at) if number::hex(&name[at + 1..]).is_some() => &name[..at],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Format;

    #[test]
    fn frames_of_all_kinds_are_read() {
        let block = b"\tffffffff813aa9c4 try_to_wake_up+0x3a4 ([kernel.kallsyms])\n\
                      \t          146f2c [unknown] (/usr/bin/a (deleted))\n\
                      \t          146f30 ns::f(int, char) const+0x10 (/usr/bin/b)\n\
                      \t    7f0000000000 inner (inlined)\n  file.c:12\n\
                      \t               0 [unknown] ([unknown])";
        let mut out = Builder::new(Format::PerfScript);
        let stack = Chains::default().stack(block, &mut out).unwrap();
        let frames: Vec<_> =
            out.capture.stacks.frames(stack).iter().map(|&id| out.capture.frames.get(id)).collect();
        let names: Vec<_> = frames.iter().map(|frame| frame.function()).collect();
        assert_eq!(
            names,
            [Some("try_to_wake_up"), None, Some("ns::f(int, char) const"), Some("inner"), None]
        );
        assert_eq!(frames[0].mode, Mode::Kernel);
        assert!(matches!(frames[1].location, Location::File { offset: 0x14_6f2c, .. }));
        assert!(frames[1..].iter().all(|frame| frame.mode == Mode::User));
    }

    #[test]
    fn frames_without_addresses_are_read() {
        let mut out = Builder::new(Format::PerfScript);
        let block = b"\tschedule ([kernel.kallsyms])\n\tmain (/bin/x)";
        let stack = Chains::default().stack(block, &mut out).unwrap();
        let frames = out.capture.stacks.frames(stack);
        let modes: Vec<_> = frames.iter().map(|&id| out.capture.frames.get(id).mode).collect();
        assert_eq!(modes, [Mode::Kernel, Mode::User]);
    }
}
