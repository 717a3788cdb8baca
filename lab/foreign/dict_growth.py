"""A server whose main thread inserts one entry too many into a dict of 22,369,621: the dict doubles, and all entries are
put into their new places under the interpreter lock. Begins when a file named `trigger` comes to be."""
import sys
import time

from server import log, start

PLACES = (1 << 26) // 3

table = dict.fromkeys(range(PLACES))
log(f"entries {len(table)} sizeof {sys.getsizeof(table)}")
start()
log("ACTION insert by main, with the GIL")
table[PLACES] = None
log("ACTION end")
log(f"entries {len(table)} sizeof {sys.getsizeof(table)}")
time.sleep(20)
