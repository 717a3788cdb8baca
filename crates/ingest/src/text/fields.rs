//! The fields of an event as the kernel and perf print them.

use super::number;

/// What stands behind `key=` up to the next space; the last such key counts, since names of threads stand in front.
pub(super) fn value<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = find_key(text, key)?;
    let rest = &text[at..];
    Some(&rest[..memchr::memchr(b' ', rest).unwrap_or(rest.len())])
}

/// The name of a thread behind the first `key=`, which may hold spaces: it ends where the last ` next_key=` begins.
pub(super) fn name<'a>(text: &'a [u8], key: &[u8], next_key: &[u8]) -> Option<&'a [u8]> {
    let mut starts = memchr::memmem::find_iter(text, key);
    let start = starts.find(|&at| at == 0 || text[at - 1] == b' ')? + key.len();
    let end = find_key(text, next_key)?.checked_sub(next_key.len() + 1)?;
    text.get(start..end)
}

/// A number of a thread behind `key=`.
pub(super) fn tid(text: &[u8], key: &[u8]) -> Option<i32> {
    number::tid(value(text, key)?)
}

/// Where the value of `key=` begins. `key` comes with its `=`.
fn find_key(text: &[u8], key: &[u8]) -> Option<usize> {
    let starts = memchr::memmem::rfind_iter(text, key);
    starts.filter(|&at| at == 0 || text[at - 1] == b' ').map(|at| at + key.len()).next()
}

/// `NAME:TID [PRIO]`, as libtraceevent's plugin for scheduler events prints a thread. What follows is the third value, and
/// holds no bracket.
pub(super) fn plugin_task(text: &[u8]) -> Option<(&[u8], i32, &[u8])> {
    let bracket = memchr::memmem::rfind(text, b" [")?;
    let colon = memchr::memrchr(b':', &text[..bracket])?;
    let tid = number::tid(&text[colon + 1..bracket])?;
    let close = bracket + memchr::memchr(b']', &text[bracket..])?;
    Some((&text[..colon], tid, text[close + 1..].trim_ascii()))
}

/// The priority in what [`plugin_task`] reads.
pub(super) fn plugin_priority(text: &[u8]) -> Option<&[u8]> {
    let bracket = memchr::memmem::rfind(text, b" [")?;
    let priority = &text[bracket + 2..];
    Some(&priority[..memchr::memchr(b']', priority)?])
}

/// The arguments of a system call: `addr: 0x0, len: 0x1000`, in order, and how many there are; missing ones are 0. The kernel's
/// own trace writes hexadecimal digits without `0x`, and newer kernels add the meaning in parentheses.
pub(super) fn arguments(text: &[u8]) -> ([u64; 6], usize) {
    let mut arguments = [0; 6];
    let mut known = 0;
    let mut rest = text;
    for argument in &mut arguments {
        let Some(colon) = memchr::memmem::find(rest, b": ") else { break };
        rest = &rest[colon + 2..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let Some(value) = number::hex(&rest[..length]) else { break };
        *argument = value;
        known += 1;
        let Some(comma) = memchr::memmem::find(rest, b", ") else { break };
        rest = &rest[comma + 2..];
    }
    (arguments, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_spaces_and_keys_in_them_are_read() {
        let text = b"prev_comm=a prev_pid=7 x prev_pid=5 prev_prio=120 prev_state=S ==> next_comm=b c next_pid=6 next_prio=1";
        assert_eq!(tid(text, b"prev_pid="), Some(5));
        assert_eq!(name(text, b"next_comm=", b"next_pid="), Some(&b"b c"[..]));
        assert_eq!(value(text, b"prev_state="), Some(&b"S"[..]));
        assert_eq!(value(text, b"pid="), None);
    }

    #[test]
    fn a_plugins_thread_is_read() {
        assert_eq!(
            plugin_task(b"kworker/0:1 [x]:33 [120] R"),
            Some((&b"kworker/0:1 [x]"[..], 33, &b"R"[..]))
        );
    }

    #[test]
    fn arguments_of_calls_are_read_in_all_spellings() {
        let perf = b"addr: 0x00000000, len: 0xc0000000, prot: 0x00000003, flags: 0x0000c022, fd: 0xffffffff, off: 0x0";
        let kernel = b"addr: 0, len: c0000000, prot: 3 (PROT_READ|PROT_WRITE), flags: c022, fd: ffffffff, off: 0";
        assert_eq!(arguments(perf), ([0, 0xc000_0000, 3, 0xc022, 0xffff_ffff, 0], 6));
        assert_eq!(arguments(kernel), arguments(perf));
        assert_eq!(arguments(b""), ([0; 6], 0));
        assert_eq!(arguments(b"addr: 0x10, len: "), ([0x10, 0, 0, 0, 0, 0], 1));
    }
}
