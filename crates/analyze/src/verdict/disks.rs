//! What was asked of disks in a freeze that waits for one, against the time before it.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{ActivityKind, Nanos, Phase, Sentence, Span, Timestamp};

use crate::findings::Cause;
use crate::model::Model;
use crate::windows::RawWindow;

/// Fewer requests before a freeze are no habit.
const HABIT: u64 = 10;
/// A device that is asked so much less often than before is hardly asked.
const HARDLY: f64 = 0.2;
/// A device that has requests for less of a freeze does not keep anybody waiting.
const IDLE: f64 = 0.5;

/// One block device.
#[derive(Default)]
struct Device {
    before: u64,
    meanwhile: u64,
    /// Requests that it has and has not answered, by sector.
    open: BTreeMap<u64, Timestamp>,
    asked: u64,
    answered: u64,
    /// For how long it had some, in the freeze, each for itself.
    busy: Nanos,
}

impl Device {
    /// Whether it is known which requests it had: an answer that wakes an idle CPU is not always recorded.
    fn answers(&self) -> bool {
        self.answered as f64 > 0.9 * self.asked as f64
    }
}

/// Whether requests reached their devices, for a freeze at a disk, where the events of requests were recorded.
pub(crate) fn reason(model: &Model<'_>, raw: &RawWindow, cause: Cause) -> Option<Sentence> {
    let of_disk =
        matches!(cause, Cause::DiskIo | Cause::FsJournal | Cause::PageFaultIo | Cause::Swap);
    if !of_disk || raw.span.start <= model.span.start {
        return None;
    }
    let start = raw.span.start.minus(raw.span.duration()).max(model.span.start);
    let before = Span::new(start, raw.span.start);
    let mut devices = requests(model, before, raw.span);
    devices.retain(|_, device| device.before >= HABIT);
    let hardly = |device: &Device| {
        let rate = |requests: u64, span: Span| requests as f64 / span.duration().0.max(1) as f64;
        rate(device.meanwhile, raw.span) < HARDLY * rate(device.before, before)
    };
    let idle = |device: &Device| device.busy.share_of(raw.span.duration()) < IDLE;
    if devices.is_empty() || !devices.values().all(hardly) {
        return None;
    }
    let length = before.duration().as_millis_f64();
    let told = devices.iter().map(|(number, device)| {
        // include/linux/kdev_t.h: 20 bits of minor number.
        let (major, minor) = (number >> 20, number & 0xf_ffff);
        let Device { meanwhile, before, .. } = device;
        format!("device {major}:{minor} got {before} in the {length:.0} ms before and {meanwhile} in the freeze")
    });
    let told: Vec<String> = told.collect();
    let mut known = devices.values().filter(|device| device.answers()).peekable();
    let what = if known.peek().is_some() && known.all(idle) {
        "Requests were held back above the disk, as by an I/O limit of a cgroup, and it was not slow itself"
    } else {
        "Hardly any requests reached the disk"
    };
    Some(format!("{what}: {}", told.join(", ")).into())
}

/// Requests to each device, by its number.
fn requests(model: &Model<'_>, before: Span, freeze: Span) -> BTreeMap<u64, Device> {
    let mut devices: BTreeMap<u64, Device> = BTreeMap::new();
    let rows = model.capture.activities.iter().filter(|row| row.kind == ActivityKind::BlockIo);
    for row in rows {
        let device = devices.entry(row.value >> 32).or_default();
        if row.phase == Phase::Begin {
            device.before += u64::from(before.contains(row.time));
            device.meanwhile += u64::from(freeze.contains(row.time));
            device.open.insert(row.value, row.time);
            device.asked += 1;
        } else if let Some(begin) = device.open.remove(&row.value) {
            device.busy += Span::new(begin, row.time).overlap(freeze);
            device.answered += 1;
        }
    }
    for device in devices.values_mut() {
        let open = device.open.values().filter(|&&begin| begin < freeze.end);
        device.busy += open.map(|&begin| Span::new(begin, freeze.end).overlap(freeze)).sum();
    }
    devices
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Activity, Capture};

    use super::*;
    use crate::script;

    /// What is said of a freeze from 100 to 400 ms in which threads wait for a disk that has answered 20 requests before.
    fn told(answered_at_once: bool) -> Option<String> {
        let disk = "schedule<io_schedule<folio_wait_writeback<do_fsync";
        let capture = script::process(Capture::default(), &[('a', "main"), ('b', "serve")]);
        let events = format!(
            "0 .c,100ms a>b D {disk},100ms b>c D {disk},400ms c!a,400ms c>a,401ms w:b,401ms a>b,402ms .b"
        );
        let mut capture = script::record(capture, &events);
        let thread = capture.switches[0].out.unwrap();
        let mut request = |sector: u64, phase: Phase, millis: u64| {
            let (time, kind) = (Timestamp(millis * 1_000_000), ActivityKind::BlockIo);
            let value = 0x70_0000 << 32 | sector;
            capture.activities.push(Activity { time, thread, kind, phase, value, stack: None });
        };
        for sector in 0..20 {
            request(sector, Phase::Begin, 4 * sector + 1);
            request(sector, Phase::End, 4 * sector + 2);
        }
        request(20, Phase::Begin, 101);
        request(20, Phase::End, if answered_at_once { 102 } else { 399 });
        let findings = crate::analyze(&capture, &script::options());
        let reasons = &findings.worst().unwrap().reasons;
        reasons.iter().find(|reason| reason.contains("device 7:0")).map(|reason| reason.to_string())
    }

    #[test]
    fn a_disk_that_gets_no_requests_is_not_slow_and_one_that_keeps_one_is() {
        let reason = told(true).unwrap();
        assert!(
            reason.contains("itself: device 7:0 got 20 in the 100 ms before and 1 in the freeze"),
            "{reason}"
        );
        assert!(told(false).unwrap().starts_with("Hardly any requests"));
    }
}
