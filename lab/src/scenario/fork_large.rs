//! A large process forks, as a database does for a background save. The kernel copies the page
//! tables of all its memory while it keeps the parent's `mmap_lock` for writing. The child leaves
//! at once: it is not the cause, only the reason.

use crate::mapping::{Mapping, gib};
use crate::{gate, serve, truth};

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 12);
    let data = Mapping::populated(bytes);
    serve::start_mapping();
    gate::ready();
    let child = truth::span("fork", &format!("bytes_of_parent={bytes}"), fork_snapshot);
    truth::write(format_args!("child pid={child}"));
    // SAFETY: the child is ours and leaves at once.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    std::mem::forget(data);
    gate::done()
}

#[inline(never)]
fn fork_snapshot() -> i32 {
    // SAFETY: the child calls nothing but _exit, which is safe after a fork of many threads.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        child
    }
}
