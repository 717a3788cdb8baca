//! A scenario of two processes: the server that freezes, and a supervisor beside it that acts on it
//! from outside.

use std::ffi::CStr;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::truth::note;

/// Runs a server in a process of its own and gives back its process id once `prepare` has ended
/// there. The server's threads go on by themselves; the process ends with its supervisor. To be
/// called while there is one thread only.
pub fn start_server(prepare: impl FnOnce()) -> i32 {
    let (mut supervisor_end, mut server_end) =
        UnixStream::pair().expect("a socket pair can be made");
    // SAFETY: no other thread exists yet, so the child may go on with everything.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: plain prctl; without it a killed supervisor would leave its server behind.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            prepare();
            server_end.write_all(b"!").expect("the supervisor lives");
            rest_forever()
        }
        child => {
            assert!(child > 0, "fork: {}", std::io::Error::last_os_error());
            supervisor_end.read_exact(&mut [0]).expect("the server prepares itself");
            note!("server pid={child}");
            child
        }
    }
}

/// Names the calling thread as `ps`, perf and the kernel show it.
pub fn rename(name: &CStr) {
    // SAFETY: the name is a C string and the kernel copies its first 15 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    note!("renamed {}", name.to_string_lossy());
}

/// This process's `/proc/self/smaps_rollup`, in bytes, of the lines that begin so.
pub fn resident<const LINES: usize>(names: [&str; LINES]) -> [u64; LINES] {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("the kernel has it");
    names.map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a known line");
        let kilobytes = line.trim().trim_end_matches(" kB");
        kilobytes.parse::<u64>().expect("a number") << 10
    })
}

/// A main thread has nothing to do while the other threads work. It waits for the whole of the
/// capture: to wait for the freeze only would make it look like one more victim.
pub fn rest_forever() -> ! {
    loop {
        std::thread::park();
    }
}
