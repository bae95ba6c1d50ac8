#!/usr/bin/env bash
# endpoint.sh: the HTTP endpoint. How long answers take while every slot is taken and clients are refused at full rate, for
# SECONDS_EACH seconds; the guide's ab line and wrk, where these programs are there; pgbench beside a scraper.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for ((port = 18000; port < 18100; port++)); do
	(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
done
start_bench_server 60 "pooldiag.http_port = $port" "pooldiag.http_access = all" "pooldiag.sample_interval = 100ms" "autovacuum = off"
"$BIN/pgbench" -i -q -s 1 >/dev/null 2>&1
worker=$("$BIN/psql" -XAtc "SELECT value FROM pooldiag.self WHERE name = 'http_pid'")
# What the worker has spent, user and system, in hundredths of a second.
spent() { awk '{ print $14 + $15 }' "/proc/$worker/stat"; }

say "load average $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, $("$BIN/postgres" --version)"
"$python" "$bench/endpoint.py" "$port" "$RUN/var" "${SECONDS_EACH:-60}"
if command -v ab >/dev/null; then
	for path in /livez /api/v1/health/database /api/v1/health/detailed /metrics; do
		before=$(spent)
		ab -q -n 1000 -c 50 "http://localhost:$port$path" >"$RUN/ab" 2>&1
		printf '%-26s ab -n 1000 -c 50: %s, %s; %s ms of the worker a request\n' "$path" \
			"$(sed -n 's/^Requests per second: *\([0-9]*\).*/\1 requests a second/p' "$RUN/ab")" \
			"$(sed -n 's/^Failed requests: *\(.*\)/\1 of another length than the first/p; s/^Non-2xx responses: *\(.*\)/, \1 not 200/p' "$RUN/ab" | tr -d '\n')" \
			"$(awk -v a="$before" -v b="$(spent)" 'BEGIN { printf "%.2f", (b - a) * 10 / 1000 }')"
	done
else
	say "ab is left out: there is none"
fi
if command -v wrk >/dev/null; then
	before=$(spent)
	wrk -t 1 -c 50 -d 10s --latency "http://localhost:$port/api/v1/health/database" >"$RUN/wrk"
	printf '%-26s wrk -c 50 for 10 s: %s, p99 %s; the worker used %s %% of a core\n' /api/v1/health/database \
		"$(sed -n 's/^Requests\/sec: *\([0-9]*\).*/\1 requests a second/p' "$RUN/wrk")" "$(awk '$1 == "99%" { print $2 }' "$RUN/wrk")" \
		"$(awk -v a="$before" -v b="$(spent)" 'BEGIN { printf "%.0f", (b - a) / 10 }')"
else
	say "wrk is left out: there is none"
fi
"$python" "$bench/scraper.py" "$BIN/pgbench" "$RUN/var" "$port" "${ROUNDS:-40}"
stop_bench_server
