//! A debugger attaches to every thread of the server, looks around for a second and a half, and
//! detaches.

use std::time::Duration;

use crate::{gate, process, serve, truth};

const ATTACHED_FOR: Duration = Duration::from_millis(1500);

pub fn run(_: &[String]) {
    let server = process::start_server(serve::start_mapping);
    process::rename(c"debugger");
    let threads = threads_of(server);
    gate::ready();
    truth::span("stopped", &format!("server={server} threads={}", threads.len()), || {
        for &thread in &threads {
            ptrace(libc::PTRACE_SEIZE, thread);
            ptrace(libc::PTRACE_INTERRUPT, thread);
        }
        for &thread in &threads {
            // SAFETY: the thread is traced by this one, so it may be waited for.
            unsafe { libc::waitpid(thread, std::ptr::null_mut(), libc::__WALL) };
        }
        std::thread::sleep(ATTACHED_FOR);
        for &thread in &threads {
            ptrace(libc::PTRACE_DETACH, thread);
        }
    });
    gate::done()
}

fn threads_of(process: i32) -> Vec<i32> {
    std::fs::read_dir(format!("/proc/{process}/task"))
        .expect("the server lives")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn ptrace(request: libc::c_uint, thread: i32) {
    // SAFETY: none of the three requests takes an address or data.
    let result = unsafe { libc::ptrace(request, thread, 0, 0) };
    assert_eq!(result, 0, "ptrace {request}: {}", std::io::Error::last_os_error());
}
