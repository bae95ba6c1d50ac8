#!/usr/bin/env bash
# hanging.sh: throughput of read-only pgbench, prepared, over two connections, while a canary, the worker of operations or
# the keeper hang, as a share of what it is while nothing does, in ROUNDS rounds; and whether samples and alerts go on.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_bench_server 20 "pooldiag.sample_interval = '100ms'" "pooldiag.operation_interval = '1s'" \
	"pooldiag.operation_timeout = '1s'" "pooldiag.canary_write = 'always'" "autovacuum = off"
"$BIN/pgbench" -i -q -s 1 >/dev/null 2>&1
say "load average $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, $("$BIN/postgres" --version)"
"$python" "$bench/hanging.py" "$BIN/pgbench" "$RUN/var" "${ROUNDS:-40}"
stop_bench_server
