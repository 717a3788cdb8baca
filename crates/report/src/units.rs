//! Times, sizes and shares as people read them: one way to print each.
//!
//! Durations carry three significant figures, because a reader compares them and does not compute with
//! them; sizes also carry the exact number of bytes where somebody may search for it.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
pub(crate) use coldcase_analyze::thousands as count;
use coldcase_ingest::capture::Nanos;

/// `1.42 s`, `812 ms`, `45.3 µs`, `7 ns`.
pub(crate) fn duration(time: Nanos) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    for (size, unit) in units {
        let value = time.0 as f64 / size;
        // 999.7 µs rounds to three figures as 1.00 ms.
        if value >= 0.9995 {
            return format!("{} {unit}", three_figures(value));
        }
    }
    format!("{} ns", time.0)
}

/// `2026-11-18 14:02:33.123 UTC`, of nanoseconds since 1970.
pub(crate) fn utc(wall_ns: u64) -> String {
    moment(wall_ns).format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}

/// `2026-11-18T14:02:33.123456Z` (RFC 3339), of nanoseconds since 1970.
pub(crate) fn rfc_3339(wall_ns: u64) -> String {
    moment(wall_ns).to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn moment(wall_ns: u64) -> DateTime<Utc> {
    let seconds = Duration::from_nanos(wall_ns);
    DateTime::UNIX_EPOCH + seconds
}

/// A round time on a scale: `0`, `200 ms`, `3 s`, `1.5 s`.
pub(crate) fn round(time: Nanos) -> String {
    match time.0 {
        0 => "0".to_owned(),
        1_000_000_000.. => format!("{} s", time.0 as f64 / 1e9),
        1_000_000.. => format!("{} ms", time.0 as f64 / 1e6),
        _ => format!("{} µs", time.0 as f64 / 1e3),
    }
}

/// `3.36 GB`, `200 MB`, `512 bytes`: decimal units, as vendors and `df -H` count.
pub(crate) fn size(bytes: u64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    scaled(bytes, &units).unwrap_or_else(|| format!("{bytes} bytes"))
}

/// A round size on a scale: `5 GB`, `500 MB`, `2.5 GB`.
pub(crate) fn round_size(bytes: u64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes")];
    let unit = units.into_iter().find(|(size, _)| bytes as f64 >= *size).unwrap_or((1.0, "bytes"));
    format!("{} {}", bytes as f64 / unit.0, unit.1)
}

/// `+3.36 GB`, `−200 MB`, `0`: how a size changed.
pub(crate) fn change(bytes: i64) -> String {
    let sign = match bytes {
        0 => return "0".to_owned(),
        1.. => "+",
        _ => "−",
    };
    format!("{sign}{}", size(bytes.unsigned_abs()))
}

/// `3.13 GiB`: binary units, as kernels and `free -h` count.
pub(crate) fn binary_size(bytes: u64) -> String {
    let kib = 1024_f64;
    let units = [(kib.powi(4), "TiB"), (kib.powi(3), "GiB"), (kib.powi(2), "MiB"), (kib, "KiB")];
    scaled(bytes, &units).unwrap_or_else(|| format!("{bytes} bytes"))
}

/// `3.36 GB (3,355,447,296 bytes)`.
pub(crate) fn exact_size(bytes: u64) -> String {
    if bytes < 1000 {
        return size(bytes);
    }
    format!("{} ({} bytes)", size(bytes), count(bytes))
}

/// `1 thread`, `6 threads`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A part of a whole: `84 %`, `0.3 %`, `< 0.1 %`.
pub(crate) fn share(part: Nanos, whole: Nanos) -> String {
    let percent = part.share_of(whole) * 100.0;
    if part.0 == 0 {
        "0 %".to_owned()
    } else if percent < 0.1 {
        "< 0.1 %".to_owned()
    } else if percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// A sentence in which no line breaks between a number and its unit.
pub(crate) fn unbroken(sentence: &str) -> String {
    const UNITS: [&str; 10] = ["s", "ms", "µs", "ns", "kB", "MB", "GB", "TB", "bytes", "threads"];
    let mut text = String::with_capacity(sentence.len());
    for word in sentence.split(' ') {
        let unit = UNITS.contains(&word.trim_end_matches([':', '.', ',', ';', ')']));
        let number = text.ends_with(|last: char| last.is_ascii_digit());
        if !text.is_empty() {
            text.push(if unit && number { '\u{a0}' } else { ' ' });
        }
        text.push_str(word);
    }
    text
}

fn scaled(bytes: u64, units: &[(f64, &str)]) -> Option<String> {
    units.iter().find_map(|&(size, unit)| {
        let value = bytes as f64 / size;
        (value >= 0.9995).then(|| format!("{} {unit}", three_figures(value)))
    })
}

fn three_figures(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        grouped(value)
    }
}

/// Values from a hundred on: whole, with thousands set apart.
fn grouped(value: f64) -> String {
    let whole = format!("{value:.0}");
    whole.parse().map_or(whole, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_unit_that_fits() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (45_340, "45.3 µs"),
            (999_700, "1.00 ms"),
            (812_400_000, "812 ms"),
            (999_499_999, "999 ms"),
            (1_420_000_000, "1.42 s"),
            (9_996_000_000, "10.0 s"),
            (83_500_000_000, "83.5 s"),
            (7_260_000_000_000, "7,260 s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(Nanos(nanos)), text);
        }
    }

    #[test]
    fn round_times_have_no_idle_figures() {
        for (nanos, text) in
            [(0, "0"), (20_000_000, "20 ms"), (1_500_000_000, "1.5 s"), (400, "0.4 µs")]
        {
            assert_eq!(round(Nanos(nanos)), text);
        }
    }

    #[test]
    fn sizes_state_their_base() {
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1_000), "1.00 kB");
        assert_eq!(size(3_355_447_296), "3.36 GB");
        assert_eq!(binary_size(3_355_447_296), "3.13 GiB");
        assert_eq!(binary_size(1023), "1023 bytes");
        assert_eq!(binary_size(1024), "1.00 KiB");
        assert_eq!(size(999_999_999), "1.00 GB");
        assert_eq!(exact_size(3_355_447_296), "3.36 GB (3,355,447,296 bytes)");
        assert_eq!(exact_size(4), "4 bytes");
        assert_eq!(size(u64::MAX), "18,446,744 TB");
    }

    #[test]
    fn one_is_told_from_many() {
        assert_eq!(counted(1, "thread", "threads"), "1 thread");
        assert_eq!(counted(1200, "thread", "threads"), "1,200 threads");
    }

    #[test]
    fn units_stay_with_their_numbers() {
        assert_eq!(
            unbroken("for 1.18 s: 6 threads is it"),
            "for 1.18\u{a0}s: 6\u{a0}threads is it"
        );
    }

    #[test]
    fn shares_never_round_something_to_nothing() {
        let of = |part, whole| share(Nanos(part), Nanos(whole));
        assert_eq!(of(0, 100), "0 %");
        assert_eq!(of(1, 1_000_000), "< 0.1 %");
        assert_eq!(of(33, 10_000), "0.3 %");
        assert_eq!(of(84, 100), "84 %");
        assert_eq!(of(5, 0), "< 0.1 %");
    }
}
