#!/usr/bin/env bash
# tick.sh: what a tick of the sampler costs, from 100 to 5,000 connections, when ten of them work between two
# ticks and when all do. Ticks come every 200 ms, as on a server that is watched closely.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ulimit -n "$(ulimit -Hn)"
for count in ${COUNTS:-100 300 1000 2000 5000}; do
	for busy in 10 "$count"; do
		start_bench_server $((count + 20)) "pooldiag.sample_interval = '200ms'"
		coproc HOLD { exec "$python" "$bench/hold.py" "$count" "$busy"; }
		read -r _ <&"${HOLD[0]}"
		printf '%5d connections, %5d of them at work: ' "$count" "$busy"
		"$python" "$bench/tick.py" "${TICKS:-60}"
		hold=$HOLD_PID
		input=${HOLD[1]}
		exec {input}>&-
		wait "$hold"
		stop_bench_server
	done
done
