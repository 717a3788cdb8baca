//! Writers append to one log file and fsync it, and for a while the disk takes next to nothing: a
//! cgroup limits the bytes a second. The threads stand still in fsync; no memory lock has a part in
//! it.

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::truth::{self, note};
use crate::{gate, process, serve};

static LOG: OnceLock<File> = OnceLock::new();
const RECORD: [u8; 16 << 10] = [b'r'; 16 << 10];
const SLOW_BYTES_PER_SECOND: u32 = 8 << 10;
const SLOW_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [folder, device, group] = arguments else { panic!("needs FOLDER MAJOR:MINOR CGROUP") };
    process::start_server(|| {
        Cgroup::create(group).add(std::process::id());
        LOG.get_or_init(|| {
            File::create(format!("{folder}/server.log")).expect("the folder is writable")
        });
        serve::start(append_request);
    });
    process::rename(c"supervisor");
    slow_the_disk(device, &Cgroup::create(group))
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

fn slow_the_disk(device: &str, group: &Cgroup) {
    let limit =
        |bytes: u32| group.set("blkio.throttle.write_bps_device", &format!("{device} {bytes}"));
    gate::ready();
    truth::span(
        "disk_limit",
        &format!("device={device} bytes_per_second={SLOW_BYTES_PER_SECOND}"),
        || {
            limit(SLOW_BYTES_PER_SECOND);
            std::thread::sleep(SLOW_FOR);
            limit(0);
        },
    );
    note!("disk_free");
    gate::done()
}
