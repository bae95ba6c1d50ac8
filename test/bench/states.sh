#!/usr/bin/env bash
# states.sh: the view connection_states against the guide's query on pg_stat_activity, at 1,000 connections.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_bench_server 1020
coproc HOLD { exec "$python" "$bench/hold.py" 1000 0; }
read -r _ <&"${HOLD[0]}"
"$python" "$bench/states.py" "$BIN/pgbench" "$RUN" "${ROUNDS:-31}"
