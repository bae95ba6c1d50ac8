#!/usr/bin/env bash
# endpoint.sh: the HTTP endpoint. How long answers take while every slot is taken and clients are refused at full rate, while
# the canary hangs, on a standby, and while a crash is recovered from, for SECONDS_EACH seconds each, the last for as long as
# it takes; the guide's ab line and wrk, where these programs are there; pgbench beside a scraper.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seconds=${SECONDS_EACH:-60}
# Two ports that nobody has now.
read -r port standby_port < <("$python" -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in sockets))')
start_bench_server 60 "pooldiag.http_port = $port" "pooldiag.http_access = all" "pooldiag.sample_interval = 100ms" \
	"autovacuum = off" "pooldiag.operation_interval = 1s" "pooldiag.operation_timeout = 1s" "checkpoint_timeout = 1h" \
	"max_wal_size = 20GB" "fsync = off"
"$BIN/pgbench" -i -q -s 1 >/dev/null 2>&1
find_worker() { worker=$("$BIN/psql" -XAtc "SELECT value FROM pooldiag.self WHERE name = 'http_pid'"); }
# set_up "SETTING = VALUE": in force from the next reload, which is now.
set_up() { "$BIN/psql" -Xqc "ALTER SYSTEM SET $1" -c "SELECT FROM pg_reload_conf()" >/dev/null; }
# await NAME COMMAND ...: until it succeeds, a minute at the most.
await() {
	local until=$((SECONDS + 60))
	until "${@:2}" >/dev/null 2>&1; do
		((SECONDS < until)) || die "waited too long for: $1"
		sleep 0.05
	done
}
hangs() { curl -s "http://127.0.0.1:$port/api/v1/health/database" | grep -q '"database_connected":false'; }
redoes() { tail -n +"$1" "$RUN/var/log" | grep -q 'redo starts at' && curl -s "http://127.0.0.1:$port/livez"; }

# A standby, in $RUN/var/standby.
start_standby() {
	"${server_user[@]}" "$BIN/pg_basebackup" -h "$RUN/var" -U postgres -D "$RUN/var/standby" -R -X stream -c fast
	"${server_user[@]}" mkdir "$RUN/var/socket"
	configure_cluster "$RUN/var/standby" "pooldiag.http_port = $standby_port" "unix_socket_directories = '$RUN/var/socket'"
	"${server_user[@]}" "$BIN/pg_ctl" -D "$RUN/var/standby" -l "$RUN/var/standby.log" -w start >/dev/null
}

# Some gigabytes of WAL to go through again, and a backend that is killed.
crash() {
	"$BIN/psql" -Xqc "CREATE TABLE filler AS SELECT repeat(md5(g::text), 8) AS t FROM generate_series(1, 6000000) g"
	"$BIN/psql" -Xqc "UPDATE filler SET t = t" || true
	logged=$(wc -l <"$RUN/var/log")
	kill -KILL "$("$BIN/psql" -XAtc "SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'")"
}

find_worker
# What the worker has spent, user and system, in hundredths of a second.
spent() { awk '{ print $14 + $15 }' "/proc/$worker/stat"; }

say "load average $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, $("$BIN/postgres" --version)"
"$python" "$bench/endpoint.py" full "$port" "$seconds" "$RUN/var"
set_up "synchronous_standby_names = 'gone'"
set_up "pooldiag.canary_write = always"
await "a canary that hangs" hangs
"$python" "$bench/endpoint.py" "canary hangs" "$port" "$seconds"
set_up "synchronous_standby_names = ''"
start_standby
"$python" "$bench/endpoint.py" standby "$standby_port" "$seconds"
"${server_user[@]}" "$BIN/pg_ctl" -D "$RUN/var/standby" -m fast -w stop >/dev/null
crash
await "redo" redoes "$((logged + 1))"
"$python" "$bench/endpoint.py" redo "$port" 600
find_worker
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
