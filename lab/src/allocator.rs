//! The program's allocator: glibc's, but large blocks are mapped here, in the sizes that glibc
//! would map.
//!
//! glibc keeps no frame pointers, so a callchain taken in a mmap below malloc ends there, and no
//! capture would show which insert asked for the memory. Large blocks are what the captures are
//! about, and those get a callchain that is whole.

use std::alloc::{GlobalAlloc, Layout, System};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

struct Allocator;

/// From this size on glibc maps a block of its own (M_MMAP_THRESHOLD).
const LARGE: usize = 128 << 10;
/// glibc's header of such a block, which decides when one more page is needed.
const HEADER: usize = 16;
const PAGE: usize = 4096;

// SAFETY: small blocks are passed on to the system's allocator unchanged; a large block is a
// mapping of its own, big enough for header and block, and aligned as asked because a mapping
// begins at a page and `is_large` allows no more than the header's alignment.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) { map_block(layout.size()) } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(layout) {
            unsafe { unmap_block(block, layout.size()) }
        } else {
            unsafe { System.dealloc(block, layout) }
        }
    }
}

fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= HEADER
}

fn mapped_bytes(size: usize) -> usize {
    (size + HEADER).next_multiple_of(PAGE)
}

// Not inlined, as in `mapping`: a callchain leaves out the function that calls libc's mmap, and
// that is to be this one.
#[inline(never)]
fn map_block(size: usize) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping at an address that the kernel chooses touches nothing that
    // exists.
    let address =
        unsafe { libc::mmap(std::ptr::null_mut(), mapped_bytes(size), protection, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        std::ptr::null_mut()
    } else {
        address.cast::<u8>().wrapping_add(HEADER)
    }
}

#[inline(never)]
unsafe fn unmap_block(block: *mut u8, size: usize) {
    // SAFETY: the caller gives back what `map_block` made for this size.
    let result = unsafe { libc::munmap(block.wrapping_sub(HEADER).cast(), mapped_bytes(size)) };
    if result != 0 {
        std::process::abort();
    }
}
