"""What was measured beside perf while a fixture was recorded: the program's log and bpftrace's."""

import re
from dataclasses import dataclass

# bpftrace's prev_state of a thread that was taken off the CPU although it could have run on.
READY = "0x100"
CALLS = {
    0: "read",
    1: "write",
    9: "mmap",
    10: "mprotect",
    11: "munmap",
    12: "brk",
    18: "write",  # pwrite64
    28: "madvise",
    44: "sendto",
    45: "recvfrom",
    56: "fork",  # clone, as glibc's fork calls it
    61: "wait4",
    74: "fsync",
    82: "rename",
    149: "mlock",
    202: "futex",
    257: "openat",
}
# Calls whose second argument is a size.
SIZED_CALLS = ("mmap", "munmap", "mprotect", "madvise", "mlock")


@dataclass
class Span:
    """Something a thread did or suffered for a while, in seconds of CLOCK_MONOTONIC."""

    tid: int
    comm: str
    start: float
    end: float
    rest: list

    @property
    def seconds(self):
        return self.end - self.start

    @property
    def ms(self):
        return round(self.seconds * 1e3, 3)

    def overlap(self, other):
        """The seconds that two spans share."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))


class Measurements:
    """The two logs of one recording."""

    def __init__(self, folder):
        self.program = (folder / "program.log").read_text().splitlines()
        self.bpftrace = (folder / "bpftrace.log").read_text().splitlines()
        self.holds = self._spans("HOLD")
        self.waits = self._spans("WAIT")
        self.calls = self._spans("CALL")
        self.sleeps = self._spans("OFF")
        # Recordings of before sites were printed looked at longer sleeps only.
        self.shortest_sleep_ms = 20 if any(l.startswith("SITE ") for l in self.bpftrace) else 50
        sites = (line.split(" ", 3) for line in self.bpftrace if line.startswith("SITE "))
        self.sites = {(int(s[1]), int(s[2]) / 1e9): s[3].split(";") for s in sites if len(s) > 3}
        # A scenario of two processes names its server; the line is the supervisor's.
        named = [line for line in self.program if " server pid=" in line]
        ready = [line for line in self.program if " ready pid=" in line]
        self.server = next((int(line.split("pid=")[1]) for line in named + ready), None)
        self.supervisor = next((int(line.split()[1]) for line in named), None)
        # The program's own log has the thread's name of Rust, not the one it took later.
        self.supervisor_name = next(
            (line.split()[-1] for line in self.program if " renamed " in line), "supervisor"
        )

    def _spans(self, kind):
        rows = (line.split() for line in self.bpftrace if line.startswith(kind + " "))
        return [Span(int(r[1]), r[2], int(r[3]) / 1e9, int(r[4]) / 1e9, r[6:]) for r in rows]

    def program_spans(self, event):
        """Spans that the program logged as `EVENT_end begin=SECONDS ms=...`, with their details."""
        pattern = re.compile(rf"([\d.]+) (\d+) (\S+) {event}_end begin=([\d.]+) ms=\S+ ?(.*)")
        found = filter(None, map(pattern.match, self.program))
        return [Span(int(f[2]), f[3], float(f[4]), float(f[1]), f[5].split()) for f in found]

    def ready_since(self, sleep):
        """When a thread that was off the CPU was ready to run again, if it then had to wait."""
        if sleep.rest[0] == READY:
            return sleep.start
        woken = int(sleep.rest[-1]) / 1e9 if len(sleep.rest) > 3 else 0
        return woken if sleep.start < woken < sleep.end else sleep.end

    def call_around(self, span):
        """The system call in which a thread spent most of a span: its name and its arguments."""
        own = [call for call in self.calls if call.tid == span.tid and call.overlap(span) > 0]
        if not own:
            return None, []
        number, _result, *arguments = max(own, key=span.overlap).rest
        return CALLS.get(int(number), number), [int(argument, 16) for argument in arguments]
