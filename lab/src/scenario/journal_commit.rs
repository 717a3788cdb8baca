//! Workers create and rename files while a publisher fsyncs. For a while the disk takes no write:
//! the journal's commit goes on for as long, and whoever wants to change a block that is being
//! committed waits for it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::disk;
use crate::{gate, process, serve};

static FOLDER: OnceLock<PathBuf> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(0);
const REST: Duration = Duration::from_millis(30);
const STUCK_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [folder, storage] = arguments else { panic!("needs FOLDER STORAGE-FOLDER") };
    process::start_server(|| {
        FOLDER.get_or_init(|| folder.into());
        serve::start(replace_request);
        serve::spawn("publisher", publish_for_ever);
    });
    process::rename(c"storage");
    gate::ready();
    disk::freeze_file_system(storage, STUCK_FOR);
    gate::done()
}

/// As programs replace a file: a new one under another name, then a rename over the old. In a folder
/// of each worker's own, so that they do not wait for a folder's lock.
#[inline(never)]
fn replace_request() -> usize {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let worker = std::thread::current();
    let worker = worker.name().expect("all workers have names");
    let folder = FOLDER.get().expect("set before any thread starts").join(worker);
    fs::create_dir_all(&folder).expect("the disk has room");
    let new = folder.join("state.new");
    File::create(&new).expect("the folder is writable");
    fs::rename(&new, folder.join("state")).expect("the folder is writable");
    number
}

/// A new and empty file each time: to fsync it takes a commit of the journal and no data.
fn publish_for_ever() {
    let folder = FOLDER.get().expect("set before any thread starts");
    for number in 0usize.. {
        let path = folder.join(format!("published.{number}"));
        flush(&File::create(&path).expect("the folder is writable"));
        fs::remove_file(&path).expect("the folder is writable");
        std::thread::sleep(REST);
    }
}

#[inline(never)]
fn flush(file: &File) {
    file.sync_all().expect("fsync works");
}
