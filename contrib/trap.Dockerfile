# The trap in a container, beside a service on the same host. Build it in a folder with the binary target/release/coldcase:
#
#   docker build -f trap.Dockerfile -t coldcase-trap .
#   docker run -d --name coldcase-trap --pid=host --network=host --cap-drop=ALL --cap-add=PERFMON \
#       --cap-add=DAC_READ_SEARCH --cap-add=SYSLOG --cap-add=SYS_PTRACE --cap-add=IPC_LOCK --security-opt seccomp=unconfined \
#       -v /sys/kernel/tracing:/sys/kernel/tracing:ro -v /var/lib/coldcase:/bundles --memory=512m --cpus=0.2 \
#       coldcase-trap --process postgres --tcp 127.0.0.1:5432
#   docker kill --signal=USR1 coldcase-trap                    # capture now
#
# --pid=host: it watches and records the host's processes. seccomp: Docker's own profile forbids perf_event_open; a profile
# that allows that one call is enough. The host's tracefs is mounted because a container has none.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends linux-perf && rm -rf /var/lib/apt/lists/*
COPY coldcase /usr/local/bin/coldcase
ENTRYPOINT ["coldcase", "trap", "--into", "/bundles"]
