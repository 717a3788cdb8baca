//! Which functions of programs are everybody's: those of language runtimes, standard libraries and allocators, also where they were
//! linked into the program.

/// Crates and name spaces that many programs use.
const ROOTS: &[&str] = &[
    "absl",
    "alloc",
    "boost",
    "core",
    "crossbeam_channel",
    "crossbeam_deque",
    "crossbeam_epoch",
    "crossbeam_utils",
    "folly",
    "futures_util",
    "hashbrown",
    "mio",
    "parking_lot",
    "parking_lot_core",
    "rayon",
    "rayon_core",
    "std",
    "tokio",
    "v8",
    "__gnu_cxx",
    "__cxxabiv1",
];

/// Words of demangled names that name nothing.
const WORDS: &[&str] = &[
    "as", "bool", "char", "char16_t", "char32_t", "closure", "const", "double", "dyn", "f32",
    "f64", "fn", "float", "for", "i128", "i16", "i32", "i64", "i8", "impl", "int", "isize", "long",
    "mut", "operator", "short", "signed", "str", "u128", "u16", "u32", "u64", "u8", "unsigned",
    "usize", "vtable", "void", "shim",
];

/// Functions of C libraries that are linked into programs, and where every program begins.
const FUNCTIONS: &[&str] = &[
    "_start",
    "brk",
    "calloc",
    "clone",
    "clone3",
    "execve",
    "fork",
    "free",
    "fsync",
    "fdatasync",
    "futex",
    "madvise",
    "main",
    "malloc",
    "memalign",
    "mlock",
    "mlockall",
    "mmap",
    "mmap64",
    "mprotect",
    "mremap",
    "msync",
    "munmap",
    "nanosleep",
    "open",
    "openat",
    "poll",
    "posix_memalign",
    "pread",
    "pread64",
    "pwrite",
    "pwrite64",
    "read",
    "realloc",
    "recv",
    "sbrk",
    "send",
    "start_thread",
    "syscall",
    "sysmalloc",
    "vfork",
    "write",
];

/// What such functions begin with.
const PREFIXES: &[&str] = &[
    "_PyEval_",
    "_PyObject_",
    "_Unwind_",
    "__GI_",
    "__clone",
    "__libc_",
    "__lll_",
    "__memcpy",
    "__memset",
    "__memmove",
    "__mmap",
    "__munmap",
    "__pthread_",
    "__rdl_",
    "__rjem_",
    "__rust_",
    "___pthread_",
    "_int_free",
    "_int_malloc",
    "_int_realloc",
    "_rjem_",
    "je_",
    "pthread_",
    "rust_begin_unwind",
    "runtime.",
    "sem_wait",
    "syscall.Syscall",
    "sysmalloc",
    "take_gil",
    "drop_gil",
    "tc_malloc",
    "tc_free",
    "_start",
];

/// Whether every part of a function's name is everybody's.
pub(crate) fn is_public(name: &str) -> bool {
    let plain = name.split('@').next().unwrap_or(name);
    // What compilers split off: `malloc.constprop.0`.
    let piece =
        [".isra.", ".constprop.", ".part.", ".cold"].iter().filter_map(|mark| plain.find(mark));
    let plain = piece.min().map_or(plain, |at| &plain[..at]);
    let by_prefix = |prefix: &&str| name.starts_with(*prefix) && !name.contains("::");
    if FUNCTIONS.contains(&plain) || PREFIXES.iter().any(by_prefix) {
        return true;
    }
    // Without a name space in front, nothing says whose it is.
    name.contains("::") && paths(name).all(is_public_path)
}

/// Runs of identifiers and `::`.
fn paths(name: &str) -> impl Iterator<Item = &str> {
    let part = |character: char| character.is_alphanumeric() || "_$:".contains(character);
    name.split(move |character| !part(character)).filter(|path| !path.is_empty())
}

fn is_public_path(path: &str) -> bool {
    let Some((root, _)) = path.split_once("::") else {
        let parameter = path.len() == 1 && path.bytes().all(|byte| byte.is_ascii_uppercase());
        return parameter
            || WORDS.contains(&path)
            || path.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    };
    // `::insert` behind the type that it belongs to, which stands in the name too.
    root.is_empty() || ROOTS.contains(&root)
}

/// Whether a name holds a path of a file, as those of interpreters' functions do.
pub(crate) fn holds_a_path(name: &str) -> bool {
    let begins = |before: Option<char>| before.is_none_or(|c| " :(,=".contains(c));
    name.match_indices('/').any(|(at, _)| begins(name[..at].chars().next_back()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_and_standard_libraries_are_public() {
        for name in [
            "hashbrown::raw::RawTable<(u64,[u64; 2])>::reserve_rehash",
            "<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop",
            "std::sys::thread::unix::Thread::new::thread_start",
            "core::ops::function::FnOnce::call_once{{vtable.shim}}",
            "std::rt::lang_start::{closure#0}",
            "__libc_start_main@@GLIBC_2.34",
            "malloc",
            "runtime.mallocgc",
        ] {
            assert!(is_public(name), "{name}");
        }
    }

    #[test]
    fn one_private_part_makes_a_name_private() {
        for name in [
            "acme::ledger::post",
            "hashbrown::map::HashMap<acme::Key,u64>::insert",
            "<acme::Ledger as core::ops::drop::Drop>::drop",
            "std::thread::Builder::spawn_unchecked_<acme::serve::{{closure}},()>",
            "post_ledger",
            "Lcom/acme/Ledger;::post",
            "main.post",
            "je::Ledger",
        ] {
            assert!(!is_public(name), "{name}");
        }
    }

    #[test]
    fn interpreters_write_paths_into_names() {
        assert!(holds_a_path("py::post:/srv/acme/ledger.py"));
        assert!(holds_a_path("LazyCompile:*post /srv/ledger.js:10"));
        assert!(!holds_a_path("Lcom/acme/Ledger;::post"));
    }
}
