//! A supervisor stops the server with SIGSTOP and continues it a second and a half later: no lock,
//! no disk, no CPU shortage.

use std::time::Duration;

use crate::{gate, process, serve, truth};

const STOPPED_FOR: Duration = Duration::from_millis(1500);

pub fn run(_: &[String]) {
    let server = process::start_server(serve::start_mapping);
    process::rename(c"supervisor");
    gate::ready();
    truth::span("stopped", &format!("server={server}"), || {
        signal(server, libc::SIGSTOP);
        std::thread::sleep(STOPPED_FOR);
        signal(server, libc::SIGCONT);
    });
    gate::done()
}

fn signal(server: i32, signal: i32) {
    // SAFETY: the server is our child and has not been waited for, so its number is still its own.
    unsafe { libc::kill(server, signal) };
}
