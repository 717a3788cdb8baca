"""A server whose main thread keeps the interpreter lock for a second: it matches a regular expression that backtracks.
Begins when a file named `trigger` comes to be."""
import re
import time

from server import log, start

start()
log("ACTION regex by main, with the GIL")
re.match(r"(a+)+$", "a" * 25 + "b")
log("ACTION end")
time.sleep(20)
