//! The command line of a recording: perf's own words stay, what they were given goes.

use crate::key::{Key, Space};
use crate::{paths, public};

/// perf's own words, and arguments that everybody gives it.
const WORDS: &[&str] = &[
    "CLOCK_MONOTONIC",
    "CLOCK_MONOTONIC_RAW",
    "any",
    "dwarf",
    "fp",
    "lbr",
    "perf",
    "record",
    "sched",
    "script",
    "sleep",
    "timehist",
    "trace",
    "signal",
];

/// A command line without private words.
pub(crate) fn command(key: &mut Key, words: &[String]) -> Vec<String> {
    words.iter().map(|word| argument(key, word)).collect()
}

fn argument(key: &mut Key, word: &str) -> String {
    if let Some((option, value)) = word.split_once('=')
        && option.starts_with("--")
        && is_plain(option)
    {
        return format!("{option}={}", argument(key, value));
    }
    if is_plain(word) || is_events(word) {
        word.to_owned()
    } else if word.contains('/') {
        paths::path(key, word)
    } else {
        key.token(Space::Argument, word).to_string()
    }
}

/// An option by its name, a word of perf's, a number with a unit.
fn is_plain(word: &str) -> bool {
    let of = |text: &str, fits: fn(u8) -> bool| text.bytes().all(fits);
    let option = match (word.strip_prefix("--"), word.strip_prefix('-')) {
        (Some(long), _) => of(long, |byte| byte.is_ascii_lowercase() || byte == b'-'),
        // `-F99`, and `-ag`; a longer one may be an option and its value.
        (None, Some(short)) => short.len() <= 2 || of(&short[1..], |byte| byte.is_ascii_digit()),
        (None, None) => false,
    };
    let number = word.trim_end_matches(['K', 'M', 'G', 'k', 'm', 'g', 's']);
    let number = of(number, |byte| byte.is_ascii_digit() || b",.-".contains(&byte));
    option && word.is_ascii() || number || WORDS.contains(&word)
}

/// Events with a comma between them, each of a kernel's group or a counter of perf's.
fn is_events(word: &str) -> bool {
    let event = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:*?/=".contains(&byte);
        let named = name.contains("name=") || name.starts_with('/');
        !named && name.bytes().all(plain) && public::is_public_event(name)
    };
    word.split(',').all(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_stays_and_whom_it_concerns_goes() {
        let line = "/usr/bin/perf record -a -g -F99 -m 16M -k CLOCK_MONOTONIC --buildid-all \
                    -e sched:sched_switch,syscalls:sys_exit_mmap -e cpu-clock/freq=99/ -e probe_ledger:post \
                    -e cycles/name=ledger/ -o /home/ada/freeze.data -u ada -uada -- ./ledger --token=s3cret --user ada";
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(
            command(&mut Key::default(), &words).join(" "),
            "/usr/bin/perf record -a -g -F99 -m 16M -k CLOCK_MONOTONIC --buildid-all \
             -e sched:sched_switch,syscalls:sys_exit_mmap -e cpu-clock/freq=99/ -e arg-1 \
             -e path-1/path-2/ -o /home/user-1/file-1.data -u arg-2 arg-3 -- ./file-2 --token=arg-4 --user arg-2"
        );
    }
}
