//! A disk of its own (a loop device), and cgroups that let next to nothing through for a while.

use std::ffi::c_ulong;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::truth::{self, note};

/// _IOWR('X', 119, int) and _IOWR('X', 120, int), linux/fs.h.
const FIFREEZE: c_ulong = 0xc004_5877;
const FITHAW: c_ulong = 0xc004_5878;

pub struct Disk {
    device: String,
    group: Cgroup,
}

impl Disk {
    /// `device` is `MAJOR:MINOR`, `group` a folder of the blkio hierarchy.
    pub fn new(device: &str, group: &str) -> Disk {
        Disk { device: device.to_owned(), group: Cgroup::create(group) }
    }

    /// What this process reads and writes is what the limits hold for.
    pub fn limit_this_process(&self) {
        self.group.add(std::process::id());
    }

    pub fn slow_writes(&self, bytes_per_second: u32, duration: Duration) {
        self.slow(&self.group, "write", bytes_per_second, duration);
    }

    pub fn slow_reads(&self, bytes_per_second: u32, duration: Duration) {
        self.slow(&self.group, "read", bytes_per_second, duration);
    }

    fn slow(&self, group: &Cgroup, way: &str, bytes_per_second: u32, duration: Duration) {
        let device = &self.device;
        let file = format!("blkio.throttle.{way}_bps_device");
        let limit = |bytes: u32| group.set(&file, &format!("{device} {bytes}"));
        truth::span(
            "disk_limit",
            &format!("device={device} way={way} bytes_per_second={bytes_per_second}"),
            || {
                limit(bytes_per_second);
                std::thread::sleep(duration);
                limit(0);
            },
        );
        note!("disk_free");
    }
}

/// Freezes the file system of a folder for a while, as fsfreeze and backups do: what would change it
/// waits. A loop device whose image lies there takes no write meanwhile, not even of a kernel
/// thread's, which no cgroup's limit holds for.
pub fn freeze_file_system(folder: &str, duration: Duration) {
    let file_system = File::open(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let control = |what: c_ulong| {
        // SAFETY: both requests take no argument that is looked at.
        let result = unsafe { libc::ioctl(file_system.as_raw_fd(), what, 0) };
        assert_eq!(result, 0, "ioctl: {}", std::io::Error::last_os_error());
    };
    truth::span("file_system_frozen", "", || {
        control(FIFREEZE);
        std::thread::sleep(duration);
        control(FITHAW);
    });
}

/// A file of `bytes` bytes that are on the disk and not in the page cache.
pub fn cold_file(path: &Path, bytes: usize) -> File {
    let chunk = vec![b'c'; 1 << 20];
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(true).open(path);
    let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for _ in (0..bytes).step_by(chunk.len()) {
        file.write_all(&chunk).expect("the disk has room");
    }
    file.sync_all().expect("fsync works");
    // SAFETY: an advice about a file that is open.
    let result = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(result, 0, "posix_fadvise");
    file
}
