//! The last lines of the kernel's log.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

const LINES: usize = 400;

/// The last lines, oldest first, as `/dev/kmsg` has them: `priority,number,microseconds,flags;text`
/// (Documentation/ABI/testing/dev-kmsg). Without the right to read it (CAP_SYSLOG), the reason.
pub fn last_lines() -> String {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open("/dev/kmsg");
    let mut file = match file {
        Ok(file) => file,
        Err(error) => return format!("/dev/kmsg cannot be read: {error}\n"),
    };
    let mut lines = VecDeque::with_capacity(LINES);
    // A record is at most 8 KiB; each read gives one.
    let mut record = vec![0; 8192];
    loop {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(count) => {
                if lines.len() == LINES {
                    lines.pop_front();
                }
                lines.push_back(String::from_utf8_lossy(&record[..count]).trim_end().to_owned());
            }
            // The ring was overwritten meanwhile: the next read goes on behind that.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(_) => break,
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}
