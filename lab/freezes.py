"""When a process stood still, who did it, and which of its threads waited where: drawn from the
measurements alone, by one rule for each cause."""

from dataclasses import dataclass, replace

from measurements import READY, SIZED_CALLS, Span

SHORTEST_HOLD_MS = 20
SHORTEST_THROTTLE_MS = 100
# Shorter waits do not begin a freeze: they are what the threads do at any time.
SHORTEST_WAIT_S = 0.05


@dataclass
class Freeze(Span):
    """One time that the process stood still. Without a pid, nobody did it; without a tid, no one
    thread."""

    cause: str | None = None
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
    call, size = call_and_size(measured, hold)
    # Only the server's system calls are logged: a holder without one is the other process.
    return Freeze(
        **vars(hold),
        pid=measured.server if call else measured.supervisor,
        operation=call or "proc_read",
        size=size,
        mode=hold.rest[0],
    )


def call_and_size(measured, span):
    """The system call that fills at least half of a span, and the bytes that it was about."""
    call, arguments = measured.call_around(span)
    if call in SIZED_CALLS:
        return call, arguments[1]
    # What brk was called for is the difference of two addresses; the program knows.
    logged = (own for own in measured.program_spans("brk") if own.overlap(span) > 0)
    details = (detail for own in logged for detail in own.rest if call == "brk")
    return call, next((int(d.split("=")[1]) for d in details if d.startswith("bytes=")), None)


def futex_freezes(measured, _last):
    found = []
    for span in measured.program_spans("lock_held"):
        call, size = call_and_size(measured, span)
        freeze = Freeze(**vars(span), pid=measured.server, operation=call or "user_lock", size=size)
        found.append(freeze)
    return found


def stop_freezes(measured, _last):
    """A stop by another process; a signal, if bpftrace saw one."""
    signal = "signal" if any(l.startswith("SIGNAL ") for l in measured.bpftrace) else None
    spans = measured.program_spans("stopped")
    for span in spans:
        span.comm = measured.supervisor_name
    return [Freeze(**vars(span), pid=measured.supervisor, operation=signal) for span in spans]


def disk_freezes(measured, _last):
    limits = measured.program_spans("disk_limit")
    return [Freeze(None, None, limit.start, limit.end, [], operation="fsync") for limit in limits]


def suffered(*events, since=lambda _measured, sleep: sleep.start):
    """From the first thread that stood still because of what the program logged until the last that
    went on. No thread did it."""

    def find(measured, _last):
        found = []
        for span in (span for event in events for span in measured.program_spans(event)):
            waits = [(since(measured, s), s.end) for s in workers(measured) if s.overlap(span) > 0]
            waits = [w for w in waits if w[1] - w[0] > SHORTEST_WAIT_S and w[0] < span.end]
            if waits:
                start, end = min(w[0] for w in waits), max(w[1] for w in waits)
                found.append(Freeze(None, None, start, end, []))
        return found

    return find


def starvation_freezes(measured, last):
    """Ready to run and not running; the process that took the CPUs is known, no thread of it is more
    to blame than another."""
    found = suffered("hogs", since=lambda m, sleep: m.ready_since(sleep))(measured, last)
    return [replace(f, pid=measured.supervisor, comm=measured.supervisor_name) for f in found]


def inode_freezes(measured, last):
    """The direct write that was under way all the while had the lock."""
    found = []
    for freeze in suffered("disk_limit")(measured, last):
        own = [c for c in measured.calls if c.comm == "compactor" and c.overlap(freeze) > 0]
        holder = max(own, key=freeze.overlap)
        call, _size = call_and_size(measured, holder)
        size = int(holder.rest[4], 16)
        named = {"tid": holder.tid, "comm": holder.comm, "operation": call, "size": size}
        found.append(replace(freeze, pid=measured.server, mode="W", **named))
    return found


def position_freezes(measured, _last):
    spans = measured.program_spans("import")
    return [Freeze(**vars(span), pid=measured.server, operation="read") for span in spans]


def backend_freezes(measured, _last):
    spans = measured.program_spans("stall")
    return [Freeze(**vars(span), pid=measured.supervisor) for span in spans]


def syscall_freezes(measured, _last):
    found = []
    for span in measured.program_spans("madvise"):
        call, size = call_and_size(measured, span)
        found.append(Freeze(**vars(span), pid=measured.server, operation=call, size=size))
    return found


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
    "cpu_starvation": starvation_freezes,
    "memory_limit": suffered("memory_limit", "file_system_frozen"),
    "page_fault_io": suffered("disk_limit"),
    "swap": suffered("disk_limit"),
    "fs_journal": suffered("file_system_frozen"),
    "rwsem": inode_freezes,
    "mutex": position_freezes,
    "network": backend_freezes,
    "memory_syscall": syscall_freezes,
    "none": lambda _measured, _last: [],
}


def find(causes, measured, last):
    """All freezes of a recording whose last sample was at `last`, in order of time."""
    found = [
        replace(freeze, cause=cause) for cause in causes for freeze in FINDERS[cause](measured, last)
    ]
    return sorted(found, key=lambda freeze: freeze.start)


def workers(measured):
    return [s for s in measured.sleeps if s.comm.startswith(("serve-", "publisher"))]


def victims(measured, freeze):
    """Sleeps of the server's workers that fill at least half of a freeze, all those of a thread
    together."""
    # A stop holds for threads as well that have nothing to do.
    threads = measured.sleeps if freeze.cause == "stopped" else workers(measured)
    own = [sleep for sleep in threads if sleep.overlap(freeze) > 0]
    blocked = {}
    for sleep in own:
        blocked[sleep.tid] = blocked.get(sleep.tid, 0) + sleep.overlap(freeze)
    found = [sleep for sleep in own if blocked[sleep.tid] > freeze.seconds / 2]
    return sorted(found, key=lambda sleep: sleep.start)


def site(cause, measured, sleep):
    """Where a thread waited, from bpftrace's lock waits and system calls."""
    if cause == "disk_io":
        return "fsync"
    if cause != "mmap_lock":
        return cause
    own = (wait for wait in measured.waits if wait.tid == sleep.tid and wait.overlap(sleep) > 0)
    wait = next(own, None)
    if wait is None:
        return "other"
    mode = {"R": "read", "W": "write"}[wait.rest[0]]
    # A lock that is waited for outside of a system call is waited for in a page fault.
    call, _arguments = measured.call_around(sleep)
    return f"mmap_lock({mode}) in {call or 'page_fault'}"


def frames(measured, sleep):
    """Where in the kernel a thread slept: the functions below the scheduler, innermost first."""
    names = [frame.split("+")[0] for frame in measured.sites.get((sleep.tid, sleep.start), [])]
    return [name for name in names if name and "sched" not in name and "trace" not in name]
