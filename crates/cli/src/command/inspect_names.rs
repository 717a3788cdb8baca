//! `coldcase inspect`: which frames have names, where those come from, and how to get the missing ones.

use std::fmt::{Result, Write as _};

use coldcase_ingest::capture::{WhyNoSymbol, inert};
use coldcase_ingest::symbols::{Count, ModuleReport, SymbolReport};

/// Modules that are spelled out: those with the most frames.
const SPELLED_OUT: usize = 20;

/// Writes the section about names.
pub fn write(out: &mut String, symbols: &SymbolReport) -> Result {
    let kernel = &symbols.kernel;
    writeln!(out, "\nnames")?;
    writeln!(out, "  kernel: {}, from {}", share(&kernel.frames), inert(&kernel.source))?;
    if kernel.is_missing {
        writeln!(
            out,
            "      fetch: cp /proc/kallsyms kallsyms  # as root there, before it is booted again; then --kallsyms"
        )?;
    }
    for (module, frames) in &kernel.modules {
        writeln!(out, "      [{}]: {frames} frames", inert(module))?;
    }
    let mut modules: Vec<_> = symbols.modules.iter().collect();
    modules.sort_by_key(|module| std::cmp::Reverse(module.frames.total));
    for module in modules.iter().take(SPELLED_OUT) {
        write_module(out, module)?;
    }
    let rest = modules.get(SPELLED_OUT..).unwrap_or_default();
    if !rest.is_empty() {
        let frames = rest.iter().fold(Count::default(), |sum, module| Count {
            resolved: sum.resolved + module.frames.resolved,
            total: sum.total + module.frames.total,
        });
        writeln!(out, "  {} more modules: {}", rest.len(), share(&frames))?;
    }
    if modules.iter().any(|module| module.frames.resolved < module.frames.total) {
        writeln!(
            out,
            "  fetch all at once: perf archive FILE  # there; unpack it, then --symfs FOLDER"
        )?;
    }
    Ok(())
}

fn write_module(out: &mut String, module: &ModuleReport) -> Result {
    writeln!(out, "  {}: {}", inert(&module.path), share(&module.frames))?;
    for file in &module.files {
        writeln!(out, "      from {}", inert(&file.display().to_string()))?;
    }
    for note in &module.notes {
        writeln!(out, "      {}", inert(note))?;
    }
    match fetch(module) {
        Some(command) => writeln!(out, "      fetch: {}", inert(&command)),
        None => Ok(()),
    }
}

/// The command that would bring what is missing.
fn fetch(module: &ModuleReport) -> Option<String> {
    // A file that was removed since cannot be copied by its path.
    let path = Some(module.path.as_str()).filter(|path| !path.ends_with(" (deleted)"));
    let path = path.unwrap_or_default();
    let copy = || format!("cp --parents {} root/  # there; then --symfs root", quoted(path));
    match (module.reason?, &module.build_id) {
        (WhyNoSymbol::FileNotFound | WhyNoSymbol::BuildIdMismatch, Some(id))
            if path.starts_with('/') =>
        {
            Some(format!("debuginfod-find executable {id}  # of a distribution; else {}", copy()))
        }
        (
            WhyNoSymbol::FileNotFound | WhyNoSymbol::BuildIdMismatch | WhyNoSymbol::Unreadable,
            None,
        )
        | (WhyNoSymbol::NoFile, _)
            if path.starts_with('/') =>
        {
            Some(copy())
        }
        (WhyNoSymbol::NoSymbol, Some(id)) if module.frames.resolved == 0 => {
            Some(format!("debuginfod-find debuginfo {id}"))
        }
        _ => None,
    }
}

/// As a shell takes it: a path comes from the capture.
fn quoted(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte);
    if path.bytes().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}

fn share(frames: &Count) -> String {
    let Count { resolved, total } = *frames;
    let percent = (resolved * 100)
        .checked_div(total)
        .map_or(String::new(), |percent| format!(" ({percent} %)"));
    format!("{resolved} of {total} frames{percent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_capture_cannot_become_a_command() {
        assert_eq!(quoted("/usr/lib/libc.so.6"), "/usr/lib/libc.so.6");
        assert_eq!(quoted("/tmp/a b;rm -rf '~'"), r"'/tmp/a b;rm -rf '\''~'\'''");
    }
}
