//! Parts of a kernel log's lines: what stands in front of a message, tasks, frames.

use super::super::number;

/// What stands behind the marks that the ways to read the log put in front: `<6>` of `/proc/kmsg`, `kern  :info  : ` of `dmesg -x`,
/// `MESSAGE=` of `journalctl -o export`, the date of `dmesg --time-format iso`, the date, host and `kernel:` of a journal; and behind dmesg's time and the kernel's
/// `CONFIG_PRINTK_CALLER`: `[  242.79][ T1645] `.
pub(super) fn message(line: &[u8]) -> &[u8] {
    let line = after(line, b" kernel: ").unwrap_or(line);
    let line = line.strip_prefix(b"MESSAGE=").unwrap_or(line);
    let line = level(line).unwrap_or(line);
    let line = decoded_level(line).unwrap_or(line);
    if let Some(rest) = line.strip_prefix(b"[") {
        return after(rest, b"] ").unwrap_or(line);
    }
    match memchr::memchr(b' ', line) {
        Some(blank) if is_date(&line[..blank]) => &line[blank + 1..],
        _ => line,
    }
}

/// Behind `<6>`.
fn level(line: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = line.strip_prefix(b"<")?.split_at_checked(1)?;
    digits[0].is_ascii_digit().then(|| rest.strip_prefix(b">")).flatten()
}

/// Behind `kern  :info  : `.
fn decoded_level(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"kern")?.trim_ascii_start().strip_prefix(b":")?;
    after(rest, b": ")
}

/// `2026-11-22T13:07:00,123456+00:00`.
fn is_date(word: &[u8]) -> bool {
    word.len() > 19 && (word[4], word[7], word[10], word[13]) == (b'-', b'-', b'T', b':')
}

/// What stands behind a mark.
pub(super) fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(text, mark).map(|at| &text[at + mark.len()..])
}

/// `mv:2172 blocked for more than 1 seconds.`, since Linux 7 also `blocked in I/O wait for more`: the thread, and the seconds.
pub(super) fn blocked(text: &[u8]) -> Option<(i32, u64)> {
    let (name, rest) = text.split_at(memchr::memmem::rfind(text, b" blocked ")?);
    let colon = memchr::memrchr(b':', name)?;
    let seconds = after(rest, b" for more than ")?.split(|&byte| byte == b' ').next()?;
    Some((number::tid(&name[colon + 1..])?, number::decimal(seconds)?))
}

/// The kernel's release: `Linux version 6.1.0-47-amd64 (debian...` at boot, `      Not tainted 6.1.0-47-amd64 #1 Debian` in a report, or
/// `      Tainted: G        W  OE     5.10.0 #1`.
pub(super) fn release(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"Linux version ") {
        return rest.split(|&byte| byte == b' ').next();
    }
    let text = text.trim_ascii_start();
    let of_report = text.starts_with(b"Not tainted ") || text.starts_with(b"Tainted: ");
    let before = of_report.then(|| memchr::memmem::find(text, b" #")).flatten()?;
    text[..before].rsplit(|&byte| byte == b' ').next()
}

/// A task's first line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Task<'a> {
    pub comm: &'a [u8],
    /// `D` waits and cannot be interrupted.
    pub state: u8,
    pub tid: i32,
    /// Its process, since Linux 6.6.
    pub pid: Option<i32>,
}

/// `task:mv              state:D stack:0     pid:2172  tgid:2172  ppid:2143`, since Linux 5.10; the name is padded and may hold
/// blanks.
pub(super) fn task(text: &[u8]) -> Option<Task<'_>> {
    let at = memchr::memmem::find(text, b" state:")?;
    let rest = &text[at..];
    let number = |key: &[u8]| {
        let digits = after(rest, key)?.trim_ascii_start();
        number::tid(&digits[..digits.iter().take_while(|byte| byte.is_ascii_digit()).count()])
    };
    Some(Task {
        comm: text[..at].trim_ascii(),
        state: *rest.get(7)?,
        tid: number(b" pid:")?,
        pid: number(b" tgid:"),
    })
}

/// `xfsaild/dm-0    D    0   735      2 0x80004000`, before Linux 5.10: a name of fifteen places, the state, until 4.12 an address
/// (`ffff88062fd14f00`) or `running task`, then the free stack, thread, parent and flags.
pub(super) fn old_task(text: &[u8]) -> Option<Task<'_>> {
    const NAME: usize = 15;
    let (&[b' ', state, b' '], rest) = text.get(NAME..)?.split_first_chunk()? else { return None };
    let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).rev();
    let flags = words.next()?.strip_prefix(b"0x")?;
    number::hex(flags)?;
    let (_parent, tid) = (number::tid(words.next()?)?, number::tid(words.next()?)?);
    number::decimal(words.next()?)?;
    let comm = text[..NAME].trim_ascii_end();
    (state.is_ascii_alphabetic() && !comm.is_empty() && comm[0] != b' ').then_some(Task {
        comm,
        state,
        tid,
        pid: None,
    })
}

/// A line of a stack: the function, or `None` for a leftover that is no caller.
///
/// ```text
///  mnt_want_write+0x96/0xc0                                  x86 since Linux 4.10, arm64; ` (T)` may follow
///  ? ext4_do_writepages+0x41c/0x7c0 [ext4]                   a leftover; of a module
///  [<ffffffff8163bf29>] schedule+0x29/0x70                   x86 before
///  [c000000fe7a3b9e0] [c0000000001b4e9c] __switch_to+0x2dc/0x450       POWER
///  [<80a3c1d4>] (__schedule) from [<80a3c6b8>] (schedule+0x60/0x104)   32-bit ARM
/// ```
pub(super) fn frame(text: &[u8]) -> Option<Option<&[u8]>> {
    let mut text = text.trim_ascii();
    if let Some(from) = memchr::memmem::find(text, b" from ") {
        let callee = without_addresses(&text[..from]);
        let callee =
            callee.strip_prefix(b"(").and_then(|name| name.strip_suffix(b")")).unwrap_or(callee);
        return is_name(callee).then_some(Some(callee));
    }
    text = without_addresses(text);
    let leftover = text.strip_prefix(b"? ");
    let text = leftover.unwrap_or(text);
    let plus = memchr::memmem::find(text, b"+0x")?;
    let (name, offset) = text.split_at(plus);
    let offset = offset.split(|&byte| byte == b' ').next()?;
    let sound = is_name(name) && memchr::memchr(b'/', offset).is_some();
    sound.then_some(if leftover.is_some() { None } else { Some(name) })
}

/// Without `[<ffffffff8163bf29>] ` in front.
fn without_addresses(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b"[") {
        let Some(rest) = after(rest, b"] ") else { break };
        text = rest.trim_ascii_start();
    }
    text
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().any(|byte| matches!(byte, b' ' | b':' | b'('))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_front_of_a_message_is_no_part_of_it() {
        for front in [
            "",
            "[13116.874592] ",
            "[Sun Nov 22 13:07:00 2026] ",
            "[  +0.000007] ",
            "[  242.797][ T1645] ",
            "<6>[  242.797] ",
            "MESSAGE=",
            "kern  :info  : [  242.797] ",
            "2026-11-22T13:07:00,123456+00:00 ",
            "Nov 22 00:00:01 host kernel: ",
            "Nov 22 00:00:01 host kernel: [  242.797] ",
            "2026-11-22T13:07:00.123456+00:00 host kernel: [  242.797] ",
        ] {
            let line = format!("{front} __schedule+0x3cc/0xf50");
            assert_eq!(frame(message(line.as_bytes())), Some(Some(&b"__schedule"[..])), "{front}");
        }
    }

    #[test]
    fn tasks_of_every_kernel_are_read() {
        let of = |comm: &'static str, state, tid, pid| {
            Some(Task { comm: comm.as_bytes(), state, tid, pid })
        };
        let new = b"my mv           state:D stack:0     pid:2172  tgid:2170  ppid:2143   task_flags:0x400000 flags:0x00080001";
        assert_eq!(task(new), of("my mv", b'D', 2172, Some(2170)));
        let running = b"kworker/1:66    state:R  running task     stack:0     pid:4095  ppid:2      flags:0x0";
        assert_eq!(task(running), of("kworker/1:66", b'R', 4095, None));
        for (line, expected) in [
            (
                "jbd2/sda1-8     D ffff88062fd14f00     0   200      2 0x00000000",
                of("jbd2/sda1-8", b'D', 200, None),
            ),
            ("xfsaild/dm-0    D    0   735      2 0x80004000", of("xfsaild/dm-0", b'D', 735, None)),
            (
                "my mv and so on D    0 12345  12000 0x00000000",
                of("my mv and so on", b'D', 12345, None),
            ),
            (
                "swapper/0       R  running task        0     0      0 0x00000008",
                of("swapper/0", b'R', 0, None),
            ),
            ("  task                        PC stack   pid father", None),
            ("a line that has, by chance, D 12 13 at its end", None),
        ] {
            assert_eq!(old_task(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn times_and_releases_are_read() {
        assert_eq!(blocked(b"kworker/u8:1:29 blocked for more than 120 seconds."), Some((29, 120)));
        assert_eq!(blocked(b"a b:7 blocked in I/O wait for more than 5 seconds."), Some((7, 5)));
        assert_eq!(blocked(b"a:7 blocked for mo"), None);
        let of = |text: &'static str| release(text.as_bytes());
        assert_eq!(
            of("Linux version 7.2.13+deb14-amd64 (debian"),
            Some(&b"7.2.13+deb14-amd64"[..])
        );
        assert_eq!(of("      Not tainted 6.1.0-47-amd64 #1 Debian"), Some(&b"6.1.0-47-amd64"[..]));
        assert_eq!(of("      Tainted: G        W  OE     5.10.0 #1"), Some(&b"5.10.0"[..]));
        assert_eq!(of("      Blocked by coredump."), None);
    }

    #[test]
    fn frames_of_every_architecture_are_read() {
        for (line, expected) in [
            (" mnt_want_write+0x96/0xc0", Some(Some("mnt_want_write"))),
            (" __switch_to+0xdc/0x108 (T)", Some(Some("__switch_to"))),
            (" ? ext4_do_writepages+0x41c/0x7c0 [ext4]", Some(None)),
            (" [<ffffffff8163bf29>] schedule+0x29/0x70", Some(Some("schedule"))),
            (" [<ffffffffa01a8f56>] ? jbd2_log+0x1/0x2 [jbd2]", Some(None)),
            (
                "[c000000fe7a3b9e0] [c0000000001b4e9c] __switch_to+0x2dc/0x450",
                Some(Some("__switch_to")),
            ),
            (
                "[<80a3c1d4>] (__schedule) from [<80a3c6b8>] (schedule+0x60/0x104)",
                Some(Some("__schedule")),
            ),
            (" __schedule from schedule+0x60/0x104", Some(Some("__schedule"))),
            ("RIP: 0010:__put_user_4+0xd/0x20", None),
            ("pc : __arch_copy_to_user+0x1c0/0x250", None),
            (" ffff880c2ccf3cb0 0000000000000046 ffff880c2ccf3fd8 0000000000013680", None),
            ("Workqueue: loop1 loop_rootcg_workfn [loop]", None),
        ] {
            let expected = expected.map(|name| name.map(str::as_bytes));
            assert_eq!(frame(line.as_bytes()), expected, "{line}");
        }
    }
}
