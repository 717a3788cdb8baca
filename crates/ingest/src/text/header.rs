//! The lines of `perf script --header`: `# hostname : vm`.

use crate::capture::{Origin, WallClock};

use super::number;

/// Takes a line into the origin; the name of an event that it describes and that was sampled, if any.
pub(super) fn line<'a>(line: &'a [u8], origin: &mut Origin) -> Option<&'a [u8]> {
    let line = line.strip_prefix(b"# ")?;
    let colon = memchr::memchr(b':', line)?;
    let (key, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
    let text = || Some(String::from_utf8_lossy(value).into_owned());
    match key {
        b"hostname" => origin.hostname = text(),
        b"os release" => origin.kernel = text(),
        b"arch" => origin.arch = text(),
        b"perf version" => origin.recorder = text().map(|version| format!("perf {version}")),
        b"nrcpus online" => {
            origin.cpus = number::decimal(value).and_then(|cpus| u32::try_from(cpus).ok());
        }
        b"cmdline" => origin.command = text()?.split_whitespace().map(str::to_owned).collect(),
        b"reference time" => origin.wall_clock = reference_time(value),
        b"event" => return sampled_tracepoint(value),
        _ => {}
    }
    None
}

/// `2026-11-22 00:45:25.123456 = 1795308325.123456 (TOD) = 10993.821000 (monotonic)`, since perf 5.10.
fn reference_time(value: &[u8]) -> Option<WallClock> {
    let mut sides = value.split(|&byte| byte == b'=').skip(1).map(<[u8]>::trim_ascii);
    let mut moment = || number::seconds(sides.next()?.split(|&byte| byte == b' ').next()?);
    let (wall, clock) = (moment()?, moment()?);
    Some(WallClock { clock_ns: clock, wall_ns: wall })
}

/// A tracepoint (`type = 2`) that was recorded at a frequency, or at a period other than one.
fn sampled_tracepoint(value: &[u8]) -> Option<&[u8]> {
    let rest = value.strip_prefix(b"name = ")?;
    let name = &rest[..memchr::memchr(b',', rest)?];
    let says = |text: &[u8]| memchr::memmem::find(rest, text).is_some();
    let every = says(b"{ sample_period, sample_freq } = 1,") && !says(b", freq = 1,");
    (says(b"type = 2,") && !every).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_taken_over() {
        let mut origin = Origin::default();
        for text in [
            "# hostname : vm",
            "# os release : 6.18.44",
            "# perf version : 6.1.192",
            "# nrcpus online : 2",
            "# cmdline : /usr/bin/perf record -a -g",
            "# reference time: 2026-11-22 00:45:25.5 = 1795308325.500000 (TOD) = 10993.250000 (monotonic)",
            "# ========",
        ] {
            assert_eq!(line(text.as_bytes(), &mut origin), None);
        }
        assert_eq!(origin.kernel.as_deref(), Some("6.18.44"));
        assert_eq!((origin.cpus, origin.command.len()), (Some(2), 4));
        let clock = WallClock { clock_ns: 10_993_250_000_000, wall_ns: 1_795_308_325_500_000_000 };
        assert_eq!(origin.wall_clock, Some(clock));
    }

    #[test]
    fn sampled_tracepoints_are_known() {
        let mut origin = Origin::default();
        let every = b"# event : name = sched:sched_switch, , id = { 1 }, type = 2, size = 128, { sample_period, sample_freq } = 1, read_format = ID";
        let some = b"# event : name = sched:sched_switch, , id = { 1 }, type = 2, size = 128, { sample_period, sample_freq } = 99, freq = 1, x";
        assert_eq!(line(every, &mut origin), None);
        assert_eq!(line(some, &mut origin), Some(&b"sched:sched_switch"[..]));
    }
}
