#!/usr/bin/env bash
# scrape.sh: what one scrape of /metrics takes at CONNECTIONS connections, of pooldiag's worker and of the Prometheus
# community's exporter on the same server, in ROUNDS rounds in rotating order.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

exporter=
finish() {
	local rc=$?
	if [[ -n $exporter ]]; then
		kill "$exporter" 2>/dev/null || true
	fi
	exit "$rc"
}
trap finish EXIT

have prometheus-postgres-exporter || die "there is no prometheus-postgres-exporter to compare with"
count=${CONNECTIONS:-1000}
# Two ports that nobody has now.
read -r port exporter_port < <("$python" -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in sockets))')
start_bench_server $((count + 20)) "pooldiag.http_port = $port" "pooldiag.http_access = all"
coproc HOLD { exec "$python" "$bench/hold.py" "$count" 0; }
read -r _ <&"${HOLD[0]}"
DATA_SOURCE_NAME="host=$PGHOST user=postgres dbname=postgres sslmode=disable" \
	prometheus-postgres-exporter --web.listen-address="127.0.0.1:$exporter_port" >"$RUN/exporter.log" 2>&1 &
exporter=$!
say "load average $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, $("$BIN/postgres" --version)"
say "$(prometheus-postgres-exporter --version 2>&1 | head -n 1)"
"$python" "$bench/scrape.py" "${ROUNDS:-40}" "pooldiag=$port" "postgres_exporter=$exporter_port"
