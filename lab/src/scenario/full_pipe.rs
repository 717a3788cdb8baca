//! The server's workers write a log line for each request, under a lock, to a pipe that a log shipper in
//! another process reads. For a second and a half the shipper compresses what it has; the pipe
//! fills up, one worker waits in write with the lock, the others behind it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::truth;
use crate::{gate, process, serve};

const LINE: [u8; 512] = [b'.'; 512];
const COMPRESSION_TAKES: Duration = Duration::from_millis(1500);

static LOG: Mutex<Option<File>> = Mutex::new(None);
static COMPRESS: AtomicBool = AtomicBool::new(false);

pub fn run(_: &[String]) {
    let (reader, writer) = pipe();
    process::start_server(move || {
        *LOG.lock().expect("nobody panics while holding it") = Some(writer);
        serve::start(log_request);
    });
    process::rename(c"log-shipper");
    serve::spawn("ship", move || ship_for_ever(reader));
    gate::ready();
    COMPRESS.store(true, Ordering::Release);
    std::thread::sleep(COMPRESSION_TAKES + Duration::from_millis(100));
    gate::done()
}

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: the array has room for both ends.
    let result = unsafe { libc::pipe(ends.as_mut_ptr()) };
    assert!(result == 0, "pipe: {}", std::io::Error::last_os_error());
    // The smallest there is, so that it is full soon after nobody reads.
    // SAFETY: the file is open.
    let size = unsafe { libc::fcntl(ends[1], libc::F_SETPIPE_SZ, 4096) };
    assert!(size == 4096, "pipe: {}", std::io::Error::last_os_error());
    // SAFETY: both are open and nobody else's.
    unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) }
}

#[inline(never)]
fn log_request() -> usize {
    let mut log = LOG.lock().expect("nobody panics while holding it");
    write_line(log.as_mut().expect("opened before any thread starts"))
}

#[inline(never)]
fn write_line(log: &mut File) -> usize {
    log.write_all(&LINE).expect("the shipper lives");
    LINE.len()
}

fn ship_for_ever(mut log: File) {
    let mut lines = [0; 64 * LINE.len()];
    while log.read(&mut lines).is_ok_and(|length| length > 0) {
        if COMPRESS.swap(false, Ordering::AcqRel) {
            truth::span("stall", "shipper=ship", compress);
        }
    }
}

#[inline(never)]
fn compress() {
    serve::compute(COMPRESSION_TAKES);
}
