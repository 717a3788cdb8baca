"""Six processes lock a file now and then; a seventh keeps it for 1.2 s, on a CPU. Begins when a
file named `trigger` comes to be."""
import fcntl
import os
import time


def log(text):
    print(f"{time.monotonic():.6f} {text}", flush=True)


def serve():
    with open("lockfile", "r+") as file:
        last = time.monotonic()
        while True:
            fcntl.lockf(file, fcntl.LOCK_EX)
            sum(range(2000))
            fcntl.lockf(file, fcntl.LOCK_UN)
            time.sleep(0.003)
            now = time.monotonic()
            if now - last > 0.06:
                log(f"SLOW {os.getpid()} {(now - last) * 1000:.1f} ms")
            last = now


def hold():
    with open("lockfile", "r+") as file:
        while not os.path.exists("trigger"):
            time.sleep(0.02)
        fcntl.lockf(file, fcntl.LOCK_EX)
        log(f"HOLDER {os.getpid()} has posix")
        begin = time.monotonic()
        while time.monotonic() - begin < 1.2:
            pass
        fcntl.lockf(file, fcntl.LOCK_UN)
        log("released")
        time.sleep(10)


open("lockfile", "w").close()
log(f"master {os.getpid()}")
for work in 6 * [serve] + [hold]:
    if os.fork() == 0:
        work()
        os._exit(0)
time.sleep(10)
