#!/usr/bin/env bash
# soak.sh: what the worker that answers HTTP needs in memory and descriptors over MINUTES minutes of clients of every kind, well
# behaved and hostile, while sessions come and go under names of any bytes.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read -r port < <("$python" -c '
import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
start_bench_server 60 "pooldiag.http_port = $port" "pooldiag.http_access = all" "pooldiag.sample_interval = 100ms" \
	"pooldiag.failure_threshold = 1" "pooldiag.breakers = 'leaks(limit=1)'" "pooldiag.leak_threshold = 1s"
say "load average $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, $("$BIN/postgres" --version)"
"$python" "$bench/soak.py" "$port" "$RUN/var" "${MINUTES:-30}"
stop_bench_server
