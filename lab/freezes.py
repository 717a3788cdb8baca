"""When a process stood still, who did it, and which of its threads waited where: drawn from the
measurements alone, by one rule for each cause."""

from dataclasses import dataclass

from measurements import Span

SHORTEST_HOLD_MS = 20
SHORTEST_THROTTLE_MS = 100
# bpftrace's prev_state of a thread that was taken off the CPU although it could have run on.
READY = "0x100"


@dataclass
class Freeze(Span):
    """One time that the process stood still. Without a tid, no thread did it."""

    pid: int | None = None
    operation: str | None = None
    size: int | None = None
    mode: str | None = None


def lock_freezes(measured, last):
    """Holds of mmap_lock during which somebody waited for it most of the time."""
    found = []
    for hold in measured.holds:
        waited = any(wait.overlap(hold) > hold.seconds / 2 for wait in measured.waits)
        # fork holds the locks of parent and child at once: that is one freeze.
        twin = any(freeze.tid == hold.tid and freeze.overlap(hold) > 0 for freeze in found)
        if waited and not twin and hold.ms > SHORTEST_HOLD_MS and hold.start < last:
            found.append(lock_freeze(measured, hold))
    return found


def lock_freeze(measured, hold):
    call, arguments = measured.call_around(hold)
    # Only the server's system calls are logged: a holder without one is the other process.
    return Freeze(
        **vars(hold),
        pid=measured.server if call else measured.supervisor,
        operation=call or "proc_read",
        size=arguments[1] if call in ("mmap", "munmap") else None,
        mode=hold.rest[0],
    )


def futex_freezes(measured, _last):
    spans = measured.program_spans("lock_held")
    return [Freeze(**vars(span), pid=measured.server, operation="user_lock") for span in spans]


def stop_freezes(measured, _last):
    spans = measured.program_spans("stopped")
    for span in spans:
        span.comm = "supervisor"
    return [Freeze(**vars(span), pid=measured.supervisor, operation="signal") for span in spans]


def disk_freezes(measured, _last):
    limits = measured.program_spans("disk_limit")
    return [Freeze(None, None, limit.start, limit.end, [], operation="fsync") for limit in limits]


def throttle_freezes(measured, _last):
    """Threads off the CPU that had not gone to sleep, as often as a period's quota was used up."""
    (scarce,) = measured.program_spans("quota")
    ready = [off for off in measured.sleeps if off.rest[0] == READY and off.start > scarce.start]
    found = []
    for off in sorted(ready, key=lambda off: off.start):
        if off.ms < SHORTEST_THROTTLE_MS:
            continue
        if found and off.start < found[-1].end:
            found[-1].end = max(found[-1].end, off.end)
        else:
            found.append(Freeze(None, None, off.start, off.end, []))
    return found


FINDERS = {
    "mmap_lock": lock_freezes,
    "futex": futex_freezes,
    "disk_io": disk_freezes,
    "stopped": stop_freezes,
    "cpu_throttle": throttle_freezes,
    "none": lambda _measured, _last: [],
}


def find(cause, measured, last):
    """All freezes of a recording whose last sample was at `last`."""
    return FINDERS[cause](measured, last)


def victims(measured, freezes):
    """Sleeps of the server's threads that fill at least half of a freeze."""
    found = {
        (sleep.tid, sleep.start): sleep
        for freeze in freezes
        for sleep in measured.sleeps
        if sleep.comm.startswith("serve-") and sleep.overlap(freeze) > freeze.seconds / 2
    }
    return sorted(found.values(), key=lambda sleep: sleep.start)


def site(cause, measured, sleep):
    """Where a thread waited, from bpftrace's lock waits and system calls."""
    if cause == "disk_io":
        return "fsync"
    if cause != "mmap_lock":
        return cause
    own = (wait for wait in measured.waits if wait.tid == sleep.tid and wait.overlap(sleep) > 0)
    mode = {"R": "read", "W": "write"}[next(own).rest[0]]
    # A lock that is waited for outside of a system call is waited for in a page fault.
    call, _arguments = measured.call_around(sleep)
    return f"mmap_lock({mode}) in {call or 'page_fault'}"
