//! Anonymous memory straight from the kernel, without an allocator between the scenario and its
//! system calls.
//!
//! libc's wrappers set up no frame of their own, so a callchain taken in a system call leaves out
//! the function that called the wrapper. Here that function is always a small one that is not
//! inlined and looks at the result (or it would end in a jump): what a capture then shows first is
//! the code that wanted the memory.

use std::ffi::c_int;
use std::fs::File;
use std::os::fd::AsRawFd;

const PAGE: usize = 4096;

/// A private anonymous mapping, unmapped when dropped.
pub struct Mapping {
    address: *mut u8,
    bytes: usize,
}

// SAFETY: the mapping is plain memory that this value alone owns; through a shared reference it is
// read and written as `read_page` and `write_page` say.
unsafe impl Send for Mapping {}
unsafe impl Sync for Mapping {}

impl Mapping {
    pub fn new(bytes: usize) -> Mapping {
        Mapping::with_flags(bytes, 0)
    }

    /// The kernel fills every page before mmap returns, holding `mmap_lock` for reading all the
    /// while.
    pub fn populated(bytes: usize) -> Mapping {
        Mapping::with_flags(bytes, libc::MAP_POPULATE)
    }

    /// The first `bytes` bytes of a file, shared with everybody who has it open.
    pub fn of_file(file: &File, bytes: usize) -> Mapping {
        Mapping::with_descriptor(bytes, libc::MAP_SHARED, file.as_raw_fd())
    }

    fn with_flags(bytes: usize, flags: c_int) -> Mapping {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | flags;
        Mapping::with_descriptor(bytes, flags, -1)
    }

    #[inline(never)]
    fn with_descriptor(bytes: usize, flags: c_int, file: c_int) -> Mapping {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, file, 0) };
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

    pub fn pages(&self) -> usize {
        self.bytes / PAGE
    }

    /// Reads one byte of a page.
    #[inline(never)]
    pub fn read_page(&self, page: usize) -> u8 {
        assert!(page < self.pages());
        // SAFETY: the page lies inside the mapping, which is readable.
        unsafe { self.address.add(page * PAGE).read_volatile() }
    }

    /// Writes one byte of a page. Threads share the mapping: no two may write to the same page.
    #[inline(never)]
    pub fn write_page(&self, page: usize) {
        assert!(page < self.pages());
        // SAFETY: the page lies inside the mapping, which is writable.
        unsafe { self.address.add(page * PAGE).write_volatile(1) };
    }

    /// `madvise` of all of the mapping.
    #[inline(never)]
    pub fn advise(&self, advice: c_int) {
        // SAFETY: the range is this mapping, and its bytes may become zero or come from a file.
        let result = unsafe { libc::madvise(self.address.cast(), self.bytes, advice) };
        assert_eq!(result, 0, "madvise: {}", std::io::Error::last_os_error());
    }

    /// `mlock` of all of the mapping: the kernel fills every page before it returns.
    #[inline(never)]
    pub fn lock(&self) {
        // SAFETY: the range is this mapping.
        let result = unsafe { libc::mlock(self.address.cast(), self.bytes) };
        assert_eq!(result, 0, "mlock: {}", std::io::Error::last_os_error());
    }

    /// Lets the last page be written to, or not.
    #[inline(never)]
    pub fn protect_last_page(&self, protection: c_int) {
        // SAFETY: the last page is part of this mapping, and nobody writes to it.
        let result =
            unsafe { libc::mprotect(self.address.add(self.bytes - PAGE).cast(), PAGE, protection) };
        assert_eq!(result, 0, "mprotect: {}", std::io::Error::last_os_error());
    }

    /// The mapping as bytes to read into.
    pub fn as_bytes(&mut self) -> &mut [u8] {
        // SAFETY: all of the mapping is readable and writable, and borrowed from this value.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.bytes) }
    }

    /// `madvise(MADV_NOHUGEPAGE)`: changes the mapping's flags, so it takes `mmap_lock` for
    /// writing, also when all memory is locked (where MADV_DONTNEED is refused).
    pub fn use_small_pages(&mut self) {
        self.advise(libc::MADV_NOHUGEPAGE);
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

    /// Gives the memory back in pieces of `step` bytes, whole pages, the last first.
    #[inline(never)]
    pub fn unmap_in_steps(mut self, step: usize) {
        while self.bytes > step {
            self.bytes -= step;
            // SAFETY: the piece is the end of this mapping, which does without it from here on.
            let result = unsafe { libc::munmap(self.address.add(self.bytes).cast(), step) };
            assert_eq!(result, 0, "munmap: {}", std::io::Error::last_os_error());
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
