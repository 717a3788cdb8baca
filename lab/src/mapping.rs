//! Anonymous memory straight from the kernel, without an allocator between the scenario and its
//! system calls.
//!
//! libc's wrappers set up no frame of their own, so a callchain taken in a system call leaves out
//! the function that called the wrapper. Here that function is always a small one that is not
//! inlined and looks at the result (or it would end in a jump): what a capture then shows first is
//! the code that wanted the memory.

use std::ffi::c_int;

const PAGE: usize = 4096;

/// A private anonymous mapping, unmapped when dropped.
pub struct Mapping {
    address: *mut u8,
    bytes: usize,
}

// SAFETY: the mapping is plain memory that this value alone owns.
unsafe impl Send for Mapping {}

impl Mapping {
    pub fn new(bytes: usize) -> Mapping {
        Mapping::with_flags(bytes, 0)
    }

    /// The kernel fills every page before mmap returns, holding `mmap_lock` for reading all the
    /// while.
    pub fn populated(bytes: usize) -> Mapping {
        Mapping::with_flags(bytes, libc::MAP_POPULATE)
    }

    #[inline(never)]
    fn with_flags(bytes: usize, flags: c_int) -> Mapping {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | flags;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping at an address that the kernel chooses touches nothing
        // that exists.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        assert_ne!(
            address,
            libc::MAP_FAILED,
            "mmap of {bytes} bytes: {}",
            std::io::Error::last_os_error()
        );
        Mapping { address: address.cast(), bytes }
    }

    /// Writes one byte of each page, so that each is backed by memory of its own.
    #[inline(never)]
    pub fn touch(&mut self) {
        for offset in (0..self.bytes).step_by(PAGE) {
            // SAFETY: `offset` lies inside the mapping, which is writable.
            unsafe { self.address.add(offset).write_volatile(1) };
        }
    }

    /// `madvise(MADV_NOHUGEPAGE)`: changes the mapping's flags, so it takes `mmap_lock` for
    /// writing, also when all memory is locked (where MADV_DONTNEED is refused).
    #[inline(never)]
    pub fn use_small_pages(&mut self) {
        // SAFETY: the range is this mapping.
        let result =
            unsafe { libc::madvise(self.address.cast(), self.bytes, libc::MADV_NOHUGEPAGE) };
        assert_eq!(result, 0, "madvise: {}", std::io::Error::last_os_error());
    }

    /// Makes every second page read-only. Neighbours that differ cannot share one VMA, so `n` pages
    /// become `n` VMAs.
    pub fn split_into_vmas(&mut self) {
        for offset in (0..self.bytes).step_by(2 * PAGE) {
            // SAFETY: the page lies inside the mapping, and nobody writes to it afterwards.
            let result =
                unsafe { libc::mprotect(self.address.add(offset).cast(), PAGE, libc::PROT_READ) };
            assert_eq!(result, 0, "mprotect: {}", std::io::Error::last_os_error());
        }
    }
}

impl Drop for Mapping {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: the range is this mapping, and nothing borrows from it any more.
        let result = unsafe { libc::munmap(self.address.cast(), self.bytes) };
        assert_eq!(result, 0, "munmap: {}", std::io::Error::last_os_error());
    }
}

/// Reads a size in GiB from the scenario's arguments.
pub fn gib(argument: Option<&String>, default: usize) -> usize {
    argument.and_then(|text| text.parse().ok()).unwrap_or(default) << 30
}
