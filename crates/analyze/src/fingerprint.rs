//! A short name for an incident, the same for the same cause on another day and another host.
//!
//! It is made of what a fix would change and nothing else: the program, the lock, the operation that held it, the
//! function of the program from which the holder came, the container that it filled, and what the victims waited for.
//! Addresses, numbers of threads and times are left out. A capture in which the program's functions have no names has
//! another fingerprint than one in which they have.

use crate::findings::{Container, FrameView, SiteTotal, Window};
use crate::names;
use crate::sites::totals::READY;

/// Sites with less of the blocked time than this come and go from one freeze to the next.
const SHARE: f64 = 0.2;

/// The fingerprint of a freeze: `mmap_lock-mmap-3f92c01ba7`. The words are the cause and the operation, `none` where
/// nobody or nothing is known; the figures stand for both, for the program, the holder's function and the sites.
#[must_use]
pub fn of(window: &Window, container: Option<&Container>, sites: &[SiteTotal]) -> String {
    let cause = window.cause.map_or("none", |cause| cause.word());
    let culprit = window.culprit.as_ref();
    let operation =
        culprit.and_then(|culprit| culprit.operation).map_or("none", |operation| operation.word());
    let holder = culprit.map_or(String::new(), |culprit| function(&culprit.user_stack));
    // Of strangers that found no CPU, another waits longest each time.
    let program = match culprit.filter(|_| window.freeze.strangers) {
        Some(culprit) => culprit.thread.comm.clone(),
        None if window.freeze.strangers => String::new(),
        None => window.freeze.comm.clone(),
    };
    let mut parts = vec![program, cause.to_owned(), operation.to_owned(), holder];
    // One that the culprit's own call enlarged stands behind the function already.
    let filled =
        container.filter(|grown| culprit.and_then(|culprit| culprit.bytes) != Some(grown.bytes));
    parts.extend(filled.map(|grown| grown.kind.word().to_owned()));
    parts.extend(victims(sites));
    // 40 bits: of a thousand different incidents, two share one by a chance of one in two million.
    format!("{cause}-{operation}-{:010x}", fnv1a(&parts.join("\n")) >> 24)
}

/// Sites that matter, in the order of their names.
fn victims(sites: &[SiteTotal]) -> Vec<String> {
    // That they found no CPU is the cause itself.
    let waited = |site: &&SiteTotal| site.cause.is_some() && !site.idle && site.site != READY;
    let harmful = || sites.iter().filter(waited);
    let most = harmful().map(|site| site.blocked).max().unwrap_or_default();
    let mut names: Vec<String> = harmful()
        .filter(|site| site.blocked.share_of(most) >= SHARE)
        .map(|site| site.site.clone())
        .collect();
    names.sort();
    names
}

/// The innermost function that is the program's own: neither of a library, nor of a language's runtime.
fn function(stack: &[FrameView]) -> String {
    let named = || stack.iter().rev().find(|frame| frame.function.is_some());
    let found = own_frame(stack).or_else(named).and_then(|frame| frame.function.as_deref());
    found.map_or(String::new(), plain)
}

/// The innermost frame with a name, of a stack outermost first, that is the program's own.
pub(crate) fn own_frame(stack: &[FrameView]) -> Option<&FrameView> {
    let is_own = |frame: &&FrameView| {
        frame.function.as_deref().is_some_and(|name| !is_library(frame) && !is_runtime(name))
    };
    stack.iter().rev().find(is_own)
}

fn is_library(frame: &FrameView) -> bool {
    let module = frame.module.as_deref().unwrap_or("");
    let file = module.rsplit('/').next().unwrap_or(module);
    file.contains(".so") || file.starts_with('[')
}

/// Allocators and containers grow on behalf of who called them, and every program has a `main`.
fn is_runtime(name: &str) -> bool {
    const OWNERS: [&str; 14] = [
        "std::",
        "core::",
        "alloc::",
        "hashbrown::",
        "__rust",
        "__rdl",
        "__gnu_cxx::",
        "operator ",
        "runtime.",
        "__GI_",
        "__libc",
        "_start",
        "je_",
        "tc_",
    ];
    const FUNCTIONS: [&str; 13] = [
        "malloc",
        "calloc",
        "realloc",
        "free",
        "mmap",
        "mmap64",
        "munmap",
        "brk",
        "fork",
        "main",
        "start_thread",
        "clone",
        "clone3",
    ];
    let plain = plain(name);
    OWNERS.iter().any(|owner| plain.starts_with(owner)) || FUNCTIONS.contains(&plain.as_str())
}

/// A function's name without types, closures' numbers and compilers' marks.
fn plain(name: &str) -> String {
    let (mut plain, mut depth) = (String::new(), 0_u32);
    let name = names::normalise(name);
    for character in name.trim_start_matches('<').chars() {
        match character {
            '<' | '(' | '{' => depth += 1,
            '>' | ')' | '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    plain.trim_end_matches(':').to_owned()
}

/// FNV-1a, 64 bits: the same on every machine, and short.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(module: &str, function: &str) -> FrameView {
        FrameView {
            function: Some(function.to_owned()),
            file: None,
            line: None,
            inlined: false,
            module: Some(module.to_owned()),
            offset: Some(0x1234),
            why: None,
        }
    }

    #[test]
    fn the_holder_is_named_by_its_own_function() {
        let stack = [
            frame("/opt/db", "std::rt::lang_start::{{closure}}"),
            frame("/opt/db", "db::shard::Shard<K, V>::apply::{closure#3}"),
            frame("/opt/db", "hashbrown::raw::RawTable<T,A>::reserve_rehash"),
            frame("/usr/lib/libc.so.6", "__mmap"),
        ];
        assert_eq!(function(&stack), "db::shard::Shard::apply");
        assert_eq!(function(&stack[3..]), "__mmap", "better than nothing");
        assert_eq!(function(&[]), "");
    }

    #[test]
    fn names_are_freed_of_what_a_build_changes() {
        assert_eq!(plain("grow.constprop.0"), "grow");
        assert_eq!(plain("Map<u64, [u64; 2]>::insert(int)"), "Map::insert");
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c, "a known value of FNV-1a");
    }
}
