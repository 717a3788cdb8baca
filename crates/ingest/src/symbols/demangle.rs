//! Mangled names to what people wrote: Rust (both schemes, without the hash) and C++.

use std::fmt::{self, Write};

/// Longest name that is worth showing. A few hundred mangled bytes can expand to gigabytes by referring
/// back to themselves; such a name stays as it is.
const LONGEST: usize = 16 << 10;

/// The name as people wrote it; unchanged if it is not mangled.
pub(crate) fn demangle(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return written(format_args!("{rust:#}")).unwrap_or_else(|| name.to_owned());
    }
    if name.starts_with("_Z") {
        return cpp(name).unwrap_or_else(|| name.to_owned());
    }
    // A versioned dynamic symbol: what follows the @ says nothing to a reader.
    name.split_once('@').map_or(name, |(name, _)| name).to_owned()
}

/// Whether the linker's form of a name is that of Rust or C++.
pub(super) fn is_mangled(name: &str) -> bool {
    name.starts_with("_R") || name.starts_with("_Z")
}

fn cpp(name: &str) -> Option<String> {
    let symbol = cpp_demangle::Symbol::new(name).ok()?;
    let mut out = Limited::default();
    symbol.structured_demangle(&mut out, &cpp_demangle::DemangleOptions::default()).ok()?;
    Some(out.text)
}

fn written(text: fmt::Arguments<'_>) -> Option<String> {
    let mut out = Limited::default();
    out.write_fmt(text).ok()?;
    Some(out.text)
}

/// Text that refuses to grow past [`LONGEST`].
#[derive(Default)]
struct Limited {
    text: String,
}

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_names_lose_their_hash() {
        let legacy = "_ZN9hashbrown3raw21RawTable$LT$T$C$A$GT$14reserve_rehash17h0123456789abcdefE";
        assert_eq!(demangle(legacy), "hashbrown::raw::RawTable<T,A>::reserve_rehash");
        let suffixed = "_ZN4core3ops8function6FnOnce9call_once17h0123456789abcdefE.llvm.123";
        assert_eq!(demangle(suffixed), "core::ops::function::FnOnce::call_once");
        assert_eq!(demangle("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
    }

    #[test]
    fn cpp_names_keep_their_parameters() {
        assert_eq!(
            demangle("_ZN2v88internal4Heap14CollectGarbageEi"),
            "v8::internal::Heap::CollectGarbage(int)"
        );
    }

    #[test]
    fn plain_names_stay() {
        for name in ["mmap64", "_start", "__restore_rt", "_Z", "_Zqq", "_Rat", ""] {
            assert_eq!(demangle(name), name);
        }
        assert_eq!(demangle("mmap64@@GLIBC_2.2.5"), "mmap64");
    }

    #[test]
    fn a_name_that_explodes_stays_mangled() {
        // S_ is std::pair, S0_ the first pair of ints; each further pair holds the one before it twice.
        let mut name = String::from("_Z1fSt4pairIiiE");
        for number in 0..30 {
            let back = char::from_digit(number, 36).unwrap().to_ascii_uppercase();
            name.push_str(&format!("S_IS{back}_S{back}_E"));
        }
        let short = "_Z1fSt4pairIiiES_IS0_S0_E";
        assert_eq!(
            demangle(short),
            "f(std::pair<int, int>, std::pair<std::pair<int, int>, std::pair<int, int> >)"
        );
        assert_eq!(demangle(&name), name);
    }
}
