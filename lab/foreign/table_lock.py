"""A client of PostgreSQL locks a table, does nothing for two seconds, and commits; eight clients of pgbench update its rows meanwhile,
one row a transaction. Run as the server's user, with a database of pgbench; begins when a file named `trigger` comes to be."""
import os
import subprocess
import time


def log(text):
    print(f"{time.monotonic():.6f} {text}", flush=True)


def ask(client, statement):
    """Sends a statement and waits until it is done."""
    client.stdin.write(f"{statement};\n\\echo done\n")
    client.stdin.flush()
    answers = []
    while (line := client.stdout.readline().strip()) != "done":
        answers.append(line)
    return answers


with open("update.sql", "w") as script:
    script.write("\\set aid random(1, 100000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\n")
load = subprocess.Popen(
    ["pgbench", "-n", "-c", "8", "-j", "2", "-R", "400", "-T", "14", "-f", "update.sql", "bench"],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
pipe = subprocess.PIPE
client = subprocess.Popen(["psql", "-qAtX", "bench"], stdin=pipe, stdout=pipe, text=True)
log(f"HOLDER {ask(client, 'SELECT pg_backend_pid()')[0]}")
while not os.path.exists("trigger"):
    time.sleep(0.02)
ask(client, "BEGIN")
ask(client, "LOCK TABLE pgbench_accounts")
log("has the lock, and does nothing")
time.sleep(2)
log("commits")
ask(client, "COMMIT")
log("has committed")
client.stdin.close()
load.wait()
