"""A server of CPython with six threads that take little, often: what the others here freeze."""
import os
import platform
import threading
import time


def log(text):
    print(f"{time.monotonic():.6f} {text}", flush=True)


def start():
    """Starts the threads, and comes back when a file named `trigger` comes to be."""
    log(f"pid {os.getpid()} tid {threading.get_native_id()} {platform.python_version()}")
    for _ in range(6):
        threading.Thread(target=serve, daemon=True).start()
    log("ready")
    while not os.path.exists("trigger"):
        time.sleep(0.02)


def serve():
    last = time.monotonic()
    while True:
        sum(range(200))
        time.sleep(0.002)
        now = time.monotonic()
        if now - last > 0.06:
            log(f"SLOW tid {threading.get_native_id()} {(now - last) * 1000:.1f} ms")
        last = now
