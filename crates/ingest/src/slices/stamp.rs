//! When a file of a loop was begun, by its name.

const SECOND: u64 = 1_000_000_000;

/// What a name says of its file's place among the others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stamp {
    /// A moment, in nanoseconds: since 1970, or since midnight where the name has no date.
    Time(u64),
    /// A place in a row.
    Number(u64),
}

impl Stamp {
    /// The last date and time of day, seconds since 1970 (also with a fraction, or in milli-, micro- or nanoseconds), or
    /// time of day in a name; else its last number.
    pub fn of(name: &str) -> Option<Self> {
        let groups = groups(name);
        let all = (0..groups.len()).rev();
        let time = all.clone().find_map(|at| date_and_time(&groups[at..]));
        let time = time.or_else(|| all.clone().find_map(|at| since_1970(&groups[at..])));
        let time = time.or_else(|| all.clone().find_map(|at| time_of_day(&groups[at..])));
        time.map(Self::Time).or_else(|| Some(Self::Number(groups.last()?.value()?)))
    }
}

/// Digits of a name that stand together.
#[derive(Clone, Copy)]
struct Group<'a> {
    digits: &'a str,
    /// What stands between them and the digits before.
    before: &'a str,
}

impl Group<'_> {
    fn value(self) -> Option<u64> {
        self.digits.parse().ok()
    }

    /// A number of so many digits, below a limit.
    fn part(self, length: usize, limit: u64) -> Option<u64> {
        let value = self.value().filter(|value| *value < limit)?;
        (self.digits.len() == length).then_some(value)
    }
}

fn groups(name: &str) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    let mut rest = name;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let (digits, behind) =
            from.split_at(from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len()));
        groups.push(Group { digits, before });
        rest = behind;
    }
    groups
}

/// `2026-11-22T12:00:01`, `2026-11-22_12-00-01`, `20261122-120001`, `20261122120001`.
fn date_and_time(groups: &[Group<'_>]) -> Option<u64> {
    let digits: String = groups.iter().take(6).map(|group| group.digits).collect();
    let lengths: Vec<usize> = groups.iter().take(6).map(|group| group.digits.len()).collect();
    let is_one = lengths.starts_with(&[14])
        || lengths.starts_with(&[8, 6])
        || lengths.as_slice() == [4, 2, 2, 2, 2, 2];
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let known = is_one && year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    let clock = clock(number(8, 10)?, number(10, 12)?, number(12, 14)?)?;
    known.then(|| days_since_1970(year, month, day) * 86_400 * SECOND + clock)
}

/// Days of the Gregorian calendar, whose leap day ends a year that begins in March.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    const UNTIL_1970: u64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - UNTIL_1970
}

/// `1700000000`, `1700000000.25`, `1700000000250`.
fn since_1970(groups: &[Group<'_>]) -> Option<u64> {
    let [whole, behind @ ..] = groups else { return None };
    let unit = match whole.digits.len() {
        10 => SECOND,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return None,
    };
    let nanos = whole.value()?.checked_mul(unit)?;
    let fraction = behind.first().filter(|next| unit == SECOND && next.before == ".");
    let fraction = fraction.and_then(|next| format!("{:0<9.9}", next.digits).parse::<u64>().ok());
    nanos.checked_add(fraction.unwrap_or(0))
}

/// `12:00:01`, `12-00-01`, `12_00_01`.
fn time_of_day(groups: &[Group<'_>]) -> Option<u64> {
    let [hour, minute, second, ..] = groups else { return None };
    let same = minute.before == second.before && matches!(second.before, ":" | "-" | "_" | ".");
    let clock = clock(hour.part(2, 24)?, minute.part(2, 60)?, second.part(2, 61)?)?;
    same.then_some(clock)
}

fn clock(hour: u64, minute: u64, second: u64) -> Option<u64> {
    // A leap second is the 61st.
    let known = hour < 24 && minute < 60 && second < 61;
    known.then_some(((hour * 60 + minute) * 60 + second) * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_loops_are_understood() {
        let noon = 12 * 3600 + 1;
        // `date -u -d '2026-11-22 12:00:01' +%s`
        let dated = 1_795_348_801;
        for (name, seconds) in [
            ("1700000000.folded", 1_700_000_000),
            ("offcpu.1700000000000.txt.zst", 1_700_000_000),
            ("offcpu-12:00:01.txt", noon),
            ("host7-12-00-01.folded", noon),
            ("2026-11-22T12:00:01Z.folded", dated),
            ("offcpu_2026-11-22_12-00-01.folded", dated),
            ("20261122-120001.folded", dated),
            ("20261122120001", dated),
            ("1972-02-29 00:00:00", 68_169_600),
        ] {
            assert_eq!(Stamp::of(name), Some(Stamp::Time(seconds * SECOND)), "{name}");
        }
        let quarter = Stamp::Time(1_700_000_000_250_000_000);
        assert_eq!(Stamp::of("1700000000.25.txt"), Some(quarter));
        for (name, number) in [("00017.folded", 17), ("bcc2-99-99-98", 98), ("run3-5.txt", 5)] {
            assert_eq!(Stamp::of(name), Some(Stamp::Number(number)), "{name}");
        }
        assert_eq!(Stamp::of("notes.txt"), None);
        assert_eq!(Stamp::of("99999999999999999999999"), None);
    }
}
