//! Writers append to one log file and fsync it, and for a while the disk takes next to nothing: a
//! cgroup limits the bytes a second. The threads stand still in fsync; no memory lock has a part in
//! it.

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use crate::disk::Disk;
use crate::{gate, process, serve};

static LOG: OnceLock<File> = OnceLock::new();
const RECORD: [u8; 16 << 10] = [b'r'; 16 << 10];
const SLOW_BYTES_PER_SECOND: u32 = 8 << 10;
const SLOW_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [folder, device, group] = arguments else { panic!("needs FOLDER MAJOR:MINOR CGROUP") };
    process::start_server(|| {
        Disk::new(device, group).limit_this_process();
        LOG.get_or_init(|| {
            File::create(format!("{folder}/server.log")).expect("the folder is writable")
        });
        serve::start(append_request);
    });
    process::rename(c"supervisor");
    gate::ready();
    Disk::new(device, group).slow_writes(SLOW_BYTES_PER_SECOND, SLOW_FOR);
    gate::done()
}

#[inline(never)]
fn append_request() -> usize {
    let mut log = LOG.get().expect("opened before any thread starts");
    log.write_all(&RECORD).expect("the disk has room");
    flush(log);
    RECORD.len()
}

// Not inlined, as in `mapping`: callchains leave out the function that calls libc's fsync.
#[inline(never)]
fn flush(log: &File) {
    log.sync_all().expect("fsync works");
}
