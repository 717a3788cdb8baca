# What the tests of the trap share. Sourced by ./trap-end-to-end and ./trap-databases; $coldcase is set.

work=$(mktemp -d)
failed=0
trap 'rm -rf "$work"' EXIT

# Starts the trap with its bundles in $work/bundles, and waits until it is armed.
set_trap() {
    mkdir -p "$work/bundles"
    "$coldcase" trap --into "$work/bundles" --quiet 0 --at-most "${at_most:-1000}" --seconds-before 5 "$@" 2>"$work/trap.log" &
    trap_pid=$!
    left+=("$trap_pid")
    wait_for 'watching' "$work/trap.log"
}

end_trap() {
    kill "$trap_pid" 2>/dev/null
    wait "$trap_pid" 2>/dev/null
    [ -z "$(recorders)" ] || { echo "  perf is left behind: $(recorders)"; return 1; }
    ! compgen -G "$work/bundles/.*.unfinished" >/dev/null
}

# perf processes that record into the bundles' folder.
recorders() { pgrep -f "record .*$work/bundles" || true; }

wait_for() {
    local turn
    for turn in $(seq 600); do
        grep -q -- "$1" "$2" && return 0
        sleep 0.1
    done
    echo "  no '$1' in $2: $(cat "$2")"
    return 1
}

newest() { find "$work/bundles" -name 'coldcase-*.tar.zst' 2>/dev/null | sort | tail -n 1; }

# The newest bundle's verdict, of this program if there is one: cause, grade, of the culprit operation, bytes, start, duration and tid, and of the freeze pid,
# start and end. Seconds are CLOCK_MONOTONIC.
verdict() {
    "$coldcase" report "$(newest)" ${1:+--process "$1"} --json - 2>/dev/null | python3 -c '
import json, sys
found = json.load(sys.stdin)
verdict = found["verdict"]
culprit = verdict["culprit"] or {}
keys = ("operation", "bytes", "start_s", "duration_ms", "tid")
freeze = verdict["freeze"] or {}
froze = ((freeze.get("process") or {}).get("pid"), freeze.get("start_s"), freeze.get("end_s"))
print(verdict["cause"], verdict["grade"], *(culprit.get(key) for key in keys), *froze)'
}

# Seconds of the clock that captures have, without starting anything: that may take a while where something is frozen.
wall_ahead=$(python3 -c 'import time; print(time.clock_gettime_ns(time.CLOCK_REALTIME) // 1000 - time.monotonic_ns() // 1000)')
now() {
    local microseconds=$((${EPOCHREALTIME/./} - wall_ahead))
    printf '%d.%06d\n' $((microseconds / 1000000)) $((microseconds % 1000000))
}

start_redis() {
    redis-server --port 7399 --save '' --appendonly no --daemonize no --dir "$work" "$@" >"$work/redis.log" 2>&1 &
    redis=$!
    left+=("$redis")
    wait_for 'Ready to accept' "$work/redis.log"
    (while kill -0 "$redis" 2>/dev/null; do
        redis-benchmark -p 7399 -c 4 -n 2000 -q set a b >/dev/null 2>&1
        sleep 0.2
    done) &
    load=$!
    left+=("$load")
}

end_redis() {
    kill -CONT "$redis" 2>/dev/null
    kill "$load" "$redis" 2>/dev/null
    wait "$load" "$redis" 2>/dev/null
}

# Runs the tests that were named; COLDCASE_LAB_KEEP is a folder for their bundles.
run_tests() {
    local test
    for test in "${tests[@]}"; do
        rm -rf "${work:?}"/*
        left=()
        if "$test"; then echo "ok      $test"; else
            echo "FAILED  $test"
            failed=1
            # What a failed test left behind must be gone before the next one has the same folder.
            kill -CONT "${left[@]}" 2>/dev/null
            kill "${left[@]}" 2>/dev/null && wait "${left[@]}" 2>/dev/null
        fi
        if [ -n "${COLDCASE_LAB_KEEP:-}" ] && [ -n "$(newest)" ]; then
            mkdir -p "$COLDCASE_LAB_KEEP" && cp "$(newest)" "$COLDCASE_LAB_KEEP/$test.tar.zst"
        fi
    done
    exit $failed
}
