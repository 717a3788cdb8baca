"""A server of CPython whose main thread inserts one entry too many into a dict of 22,369,621: the dict doubles, and
all entries are put into their new places under the interpreter lock. Begins when a file named `trigger` comes to be."""
import os
import platform
import sys
import threading
import time

PLACES = (1 << 26) // 3


def log(text):
    print(f"{time.monotonic():.6f} {text}", flush=True)


def serve():
    last = time.monotonic()
    while True:
        sum(range(200))
        time.sleep(0.002)
        now = time.monotonic()
        if now - last > 0.06:
            log(f"SLOW tid {threading.get_native_id()} {(now - last) * 1000:.1f} ms")
        last = now


table = dict.fromkeys(range(PLACES))
log(f"pid {os.getpid()} tid {threading.get_native_id()} {platform.python_version()}")
log(f"entries {len(table)} sizeof {sys.getsizeof(table)}")
for _ in range(6):
    threading.Thread(target=serve, daemon=True).start()
log("ready")
while not os.path.exists("trigger"):
    time.sleep(0.02)
log("ACTION insert by main, with the GIL")
table[PLACES] = None
log("ACTION end")
log(f"entries {len(table)} sizeof {sys.getsizeof(table)}")
time.sleep(20)
