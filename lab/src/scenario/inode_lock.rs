//! A compactor appends to a file past the page cache, which keeps the inode's lock for writing until
//! the data are on the disk. For a while the disk takes next to nothing: the compactor stands still
//! with the lock, and the workers, who write elsewhere in the same file, wait for the lock.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::disk::Disk;
use crate::mapping::Mapping;
use crate::{gate, process, serve};

static STORE: OnceLock<File> = OnceLock::new();
static NEXT: AtomicU64 = AtomicU64::new(0);
const RECORD: [u8; 4096] = [b'r'; 4096];
const RECORDS: u64 = 1024;
/// Where the compacted part begins: behind all records, so that each write makes the file longer.
const COMPACTED_FROM: u64 = 64 << 20;
const COMPACTED_BYTES: usize = 128 << 10;
const REST: Duration = Duration::from_millis(40);
const SLOW_BYTES_PER_SECOND: u32 = 8 << 10;
const SLOW_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [folder, device, group] = arguments else { panic!("needs FOLDER MAJOR:MINOR CGROUP") };
    process::start_server(|| {
        Disk::new(device, group).limit_this_process();
        let path = PathBuf::from(folder).join("store");
        STORE.get_or_init(|| File::create(&path).expect("the folder is writable"));
        let mut options = File::options();
        let direct = options.write(true).custom_flags(libc::O_DIRECT).open(&path);
        let direct = direct.expect("the file system can write past the page cache");
        serve::start(write_request);
        serve::spawn("compactor", move || compact_for_ever(&direct));
    });
    process::rename(c"supervisor");
    gate::ready();
    Disk::new(device, group).slow_writes(SLOW_BYTES_PER_SECOND, SLOW_FOR);
    gate::done()
}

#[inline(never)]
fn write_request() -> usize {
    let record = NEXT.fetch_add(1, Ordering::Relaxed) % RECORDS;
    let store = STORE.get().expect("opened before any thread starts");
    store.write_all_at(&RECORD, record * RECORD.len() as u64).expect("the disk has room");
    RECORD.len()
}

fn compact_for_ever(direct: &File) {
    // A mapping begins at a page, and a direct write has to.
    let mut block = Mapping::new(COMPACTED_BYTES);
    block.touch();
    let mut at = COMPACTED_FROM;
    loop {
        append_compacted(direct, block.as_bytes(), at);
        at += COMPACTED_BYTES as u64;
        std::thread::sleep(REST);
    }
}

#[inline(never)]
fn append_compacted(direct: &File, block: &[u8], at: u64) {
    direct.write_all_at(block, at).expect("the disk has room");
}
