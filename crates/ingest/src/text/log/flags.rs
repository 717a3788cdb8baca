//! Flags by their names, as strace and perf trace print them (`include/uapi/asm-generic/mman*.h`, `sched.h`, Linux 6.1; the values are
//! the same on x86-64 and arm64).

use super::super::number;

/// A value: a number, `NULL`, or names joined by `|`, of which perf trace leaves the first word out (`PRIVATE` for `MAP_PRIVATE`).
pub(super) fn value(text: &[u8]) -> Option<u64> {
    if let Some(number) = number::any(text) {
        return Some(number);
    }
    if text == b"NULL" {
        return Some(0);
    }
    let names = text.split(|&byte| byte == b'|').map(<[u8]>::trim_ascii);
    let mut sum = None;
    for name in names {
        let bit = number::any(name).or_else(|| bit(name));
        sum = Some(sum.unwrap_or(0) | bit.unwrap_or(0));
        bit?;
    }
    sum
}

fn bit(name: &[u8]) -> Option<u64> {
    let is = |known: &str| {
        let known = known.as_bytes();
        known == name
            || known.split(|&byte| byte == b'_').skip(1).collect::<Vec<_>>().join(&b'_') == name
    };
    FLAGS.iter().find(|(known, _)| is(known)).map(|(_, bit)| *bit)
}

/// Names of one call never mean two things; between calls only zeros are shared.
const FLAGS: &[(&str, u64)] = &[
    ("PROT_NONE", 0),
    ("PROT_READ", 1),
    ("PROT_WRITE", 2),
    ("PROT_EXEC", 4),
    ("MAP_SHARED", 1),
    ("MAP_PRIVATE", 2),
    ("MAP_SHARED_VALIDATE", 3),
    ("MAP_FIXED", 0x10),
    ("MAP_ANONYMOUS", 0x20),
    ("MAP_32BIT", 0x40),
    ("MAP_GROWSDOWN", 0x100),
    ("MAP_DENYWRITE", 0x800),
    ("MAP_EXECUTABLE", 0x1000),
    ("MAP_LOCKED", 0x2000),
    ("MAP_NORESERVE", 0x4000),
    ("MAP_POPULATE", 0x8000),
    ("MAP_NONBLOCK", 0x10000),
    ("MAP_STACK", 0x20000),
    ("MAP_HUGETLB", 0x40000),
    ("MAP_SYNC", 0x80000),
    ("MAP_FIXED_NOREPLACE", 0x10_0000),
    ("MREMAP_MAYMOVE", 1),
    ("MREMAP_FIXED", 2),
    ("MREMAP_DONTUNMAP", 4),
    ("MCL_CURRENT", 1),
    ("MCL_FUTURE", 2),
    ("MCL_ONFAULT", 4),
    ("MLOCK_ONFAULT", 1),
    ("MADV_NORMAL", 0),
    ("MADV_RANDOM", 1),
    ("MADV_SEQUENTIAL", 2),
    ("MADV_WILLNEED", 3),
    ("MADV_DONTNEED", 4),
    ("MADV_FREE", 8),
    ("MADV_REMOVE", 9),
    ("MADV_DONTFORK", 10),
    ("MADV_DOFORK", 11),
    ("MADV_MERGEABLE", 12),
    ("MADV_UNMERGEABLE", 13),
    ("MADV_HUGEPAGE", 14),
    ("MADV_NOHUGEPAGE", 15),
    ("MADV_DONTDUMP", 16),
    ("MADV_DODUMP", 17),
    ("MADV_WIPEONFORK", 18),
    ("MADV_KEEPONFORK", 19),
    ("MADV_COLD", 20),
    ("MADV_PAGEOUT", 21),
    ("MADV_POPULATE_READ", 22),
    ("MADV_POPULATE_WRITE", 23),
    ("MADV_DONTNEED_LOCKED", 24),
    ("MADV_COLLAPSE", 25),
    ("MADV_GUARD_INSTALL", 102),
    ("MADV_GUARD_REMOVE", 103),
    ("CLONE_VM", 0x100),
    ("CLONE_FS", 0x200),
    ("CLONE_FILES", 0x400),
    ("CLONE_SIGHAND", 0x800),
    ("CLONE_VFORK", 0x4000),
    ("CLONE_THREAD", 0x10000),
    ("CLONE_SYSVSEM", 0x40000),
    ("CLONE_SETTLS", 0x80000),
    ("CLONE_PARENT_SETTID", 0x10_0000),
    ("CLONE_CHILD_CLEARTID", 0x20_0000),
    ("CLONE_CHILD_SETTID", 0x100_0000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        assert_eq!(value(b"MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE|MAP_POPULATE"), Some(0xc022));
        assert_eq!(value(b"PRIVATE|ANONYMOUS|NORESERVE|POPULATE"), Some(0xc022));
        assert_eq!(value(b"MAP_PRIVATE|0x40"), Some(0x42));
        assert_eq!(value(b"NULL"), Some(0));
        assert_eq!(value(b"-1"), Some(u64::MAX));
        assert_eq!(value(b"{flags=1}"), None);
    }
}
