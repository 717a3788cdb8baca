"""A server of CPython whose main thread keeps the interpreter lock for a second: it matches a
regular expression that backtracks. Begins when a file named `trigger` comes to be."""
import os
import re
import threading
import time


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


log(f"pid {os.getpid()} tid {threading.get_native_id()}")
for _ in range(6):
    threading.Thread(target=serve, daemon=True).start()
log("ready")
while not os.path.exists("trigger"):
    time.sleep(0.02)
log("ACTION regex by main, with the GIL")
re.match(r"(a+)+$", "a" * 25 + "b")
log("ACTION end")
time.sleep(20)
