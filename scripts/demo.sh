#!/usr/bin/env bash
# demo.sh start|stop: a server of its own in demo/, with pooldiag, real load and the troubles that load
# brings, and what pooldiag says about them.
#
# demo/run is the run's folder, or, where the server's user can't enter the checkout, a link to it:
#   pg/    PostgreSQL's copy       var/  data, socket, logs; the server user's
#   pids   the load's processes    app/   the application
#
# DEMO_SECONDS is how long the load lasts (600).

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

demo=$root/demo
seconds=${DEMO_SECONDS:-600}

# Is the process $1 one that runs from the folder $2? A pid from a file may be someone else's by now.
ours() { [[ $1 =~ ^[0-9]+$ ]] && tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "$2/"; }

# Ends the process $1 of the folder $2 by the signals named, waiting up to 15 s after each.
end() {
	local pid=$1 dir=$2 signal i
	for signal in "${@:3}"; do
		ours "$pid" "$dir" || return 0
		kill -s "$signal" "$pid" 2>/dev/null || true
		for ((i = 0; i < 150; i++)); do
			ours "$pid" "$dir" || return 0
			sleep 0.1
		done
	done
	! ours "$pid" "$dir" || die "process $pid does not end"
}

# Stops what runs and removes demo/. Load first, so that it doesn't complain of a server that went away.
stop_demo() {
	local dir pid
	if dir=$(readlink -e "$demo/run"); then
		while read -r pid; do
			end "$pid" "$dir" TERM KILL
		done < <(cat "$dir/pids" 2>/dev/null || true)
		if read -r pid 2>/dev/null <"$dir/var/data/postmaster.pid"; then
			end "$pid" "$dir" INT QUIT
		fi
		rm -rf "$dir"
	fi
	rm -f "$demo/run"
	if [[ -e $demo ]]; then
		rmdir "$demo" || die "$demo holds something that is not the demo's"
	fi
}

# The folder of this run: in demo/ if the server's user can use that, else among the temporary files.
make_run() {
	mkdir "$demo"
	run=$demo/run
	mkdir "$run"
	if [[ ! $run =~ ^[A-Za-z0-9_./+-]{1,70}$ ]] || ! usable "$run"; then
		rmdir "$run"
		run=$(new_run_dir demo)
		ln -s "$run" "$demo/run"
	fi
}

# Does somebody listen at this port of this machine?
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The guide's port for HTTP, or one behind it that is free.
choose_http_port() {
	for ((http_port = 8000; http_port < 8100; http_port++)); do
		is_taken "$http_port" || return 0
	done
	die "no port from 8000 to 8099 is free for HTTP"
}

# Starts a server on a free port and sets port; whether one is free shows when the server binds it.
start_server() {
	local log=$run/var/server.log
	choose_http_port
	"${as_server[@]}" "$bin/initdb" -D "$run/var/data" -U postgres -A trust -E UTF8 --no-sync >"$run/initdb.log" 2>&1 ||
		die "initdb failed, see $run/initdb.log"
	"${as_server[@]}" mkdir "$run/var/sock"

	# Superusers come in by the socket, in a folder that only the server's user can enter. By TCP, where
	# every user of this machine could, come roles that can do no harm outside this server.
	"${as_server[@]}" tee "$run/var/data/pg_hba.conf" >/dev/null <<-'HBA'
		local all  all                        trust
		host  demo shop,jobs,reporting,oncall 127.0.0.1/32 trust
	HBA
	"${as_server[@]}" tee -a "$run/var/data/postgresql.conf" >/dev/null <<-CONF
		listen_addresses = '127.0.0.1'
		unix_socket_directories = '$run/var/sock'
		max_connections = 60
		shared_buffers = 64MB
		fsync = off
		compute_query_id = on

		shared_preload_libraries = 'pooldiag'
		pooldiag.pools = 'web(application_name=web, size=20, max_overflow=30, slow=3s, leak=4s), jobs(application_name=jobs, size=4, max_overflow=0)'
		pooldiag.slow_query_threshold = 3s
		pooldiag.leak_threshold = 4s
		pooldiag.database = demo
		pooldiag.http_port = $http_port
		pooldiag.http_access = all
	CONF

	for ((port = 54320; port < 54420; port++)); do
		if "${as_server[@]}" "$bin/pg_ctl" -D "$run/var/data" -l "$log" -o "-p $port" -s -w start 2>/dev/null 8>&-; then
			return
		fi
		grep -q 'could not create any TCP/IP sockets' "$log" || break
		"${as_server[@]}" rm -f "$log"
	done
	tail -n 20 "$log" >&2
	die "the server does not start"
}

sql() { "$bin/psql" -X -q -v ON_ERROR_STOP=1 -P pager=off -h "$run/var/sock" -p "$port" -U "$1" "${@:2}"; }

# Starts a command that outlives this script, for as long as the load lasts: load NAME COMMAND ...
load() {
	setsid "${as_server[@]}" PGHOST=127.0.0.1 PGPORT="$port" PGDATABASE=demo timeout "$seconds" "${@:2}" \
		</dev/null >"$run/var/$1.log" 2>&1 8>&- &
	echo $! >>"$run/pids"
}

start_load() {
	"${as_server[@]}" touch "$run/var"/{jobs,reporting,web}.log
	mkdir "$run/app"
	cp "$root/test/demo/app.py" "$run/app/"
	chmod -R a+rX "$run/app"
	sql postgres -d demo -f "$root/test/demo/setup.sql"
	"$bin/pgbench" -h "$run/var/sock" -p "$port" -U jobs -d demo -i -q >/dev/null 2>&1
	sql postgres -d demo -c 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO reporting'
	load jobs env PGAPPNAME=jobs "$bin/pgbench" -U jobs -n -c 4 -R 40 -T "$seconds"
	load reporting env PGAPPNAME=reporting "$bin/pgbench" -U reporting -n -S -c 2 -R 20 -T "$seconds"
	load web "$(find_python)" -u "$run/app/app.py" "postgresql+psycopg2://shop@127.0.0.1:$port/demo"
}

# Waits until the troubles have become visible.
wait_for_trouble() {
	local i
	for ((i = 0; i < 60; i++)); do
		if [[ $(sql oncall -d demo -At -c "
			SELECT (SELECT count(*) FROM pooldiag.leaks WHERE idle_for > interval '9 s') >= 5
			   AND (SELECT count(*) FROM pooldiag.blocking) >= 4
			   AND (SELECT count(*) FROM pooldiag.slow_queries WHERE state = 'active') >= 3") == t ]]; then
			return
		fi
		sleep 0.5
	done
	say "not all of the load's troubles showed up in 30 s; see $run/var/web.log"
}

# show WHAT-TO-SEE QUERY, run by the role on call
show() {
	printf '\n--- %s\n\n' "$1"
	sql oncall -d demo -P footer=off -P null=- "${@:3}" -c "$2"
}

show_all() {
	show "The screen for whoever is on call: status, slots, pools, what is wrong, what to do." \
		"SELECT pooldiag.report()" -At

	show "The state of every connection, the empty states too, and the longest time in each." \
		"SELECT state, connections, round(slots_percent) AS slots_percent, date_trunc('second', oldest) AS oldest
		 FROM pooldiag.connection_states"

	show "Each pool against its size: web is in overflow. Nobody declared reporting, so there is no size to compare with." \
		"SELECT pool, declared, size, max_overflow AS max_over, connections AS conns, checked_out AS out, idle, overflow,
		        round(utilization_percent) AS util, round(saturation_percent) AS satur, peak_checked_out AS peak, leaks
		 FROM pooldiag.pools"
	printf '(The application itself counts: %s.)\n' "$(grep '^size' "$run/var/web.log" | tail -n 1)"

	show "Who holds the connections: each role, application and address." \
		"SELECT usename, application_name, client_addr, connections AS conns, active, idle, idle_in_transaction AS in_xact,
		        waiting, date_trunc('second', oldest_xact) AS oldest_xact
		 FROM pooldiag.connection_groups ORDER BY connections DESC"

	show "How full everything is that has a limit." \
		"SELECT scope, name, connections AS conns, checked_out AS out, capacity, round(utilization_percent) AS util,
		        peak_connections AS peak
		 FROM pooldiag.utilization"

	show "Statements that have run for longer than their pool's 3 seconds; blocked_by tells slow from stuck." \
		"SELECT pid, pool, date_trunc('second', duration) AS duration, wait_event AS waits_for, blocked_by, left(query, 44) AS query
		 FROM pooldiag.slow_queries WHERE state = 'active' ORDER BY duration DESC, pid"

	show "Leaks: idle in a transaction for more than 4 seconds. One of them makes others wait." \
		"SELECT pid, pool, date_trunc('second', idle_for) AS idle_for, locks_held AS locks, blocking, holds_xmin,
		        left(last_query, 44) AS last_query
		 FROM pooldiag.leaks ORDER BY blocking DESC, idle_for DESC"

	show "Who waits for whom: all of them, at one remove or two, for one session that does nothing." \
		"SELECT waiting_pid AS waiting, depth, direct_blockers AS waits_for, root_blocker AS root, root_state,
		        date_trunc('second', root_idle_for) AS root_idle, left(waiting_query, 36) AS query
		 FROM pooldiag.blocking ORDER BY depth, waiting_pid"

	show "What to do, with the statement that does it. As shown these can be pasted into psql." \
		"SELECT concat_ws(E'\n',
		          severity || ': ' || title || ' [' || rule || ']',
		          '    ' || advice,
		          '    ' || replace(regexp_replace(remedy, '(\(|, )(\(\d)', '\1' || chr(10) || '    \2', 'g'), E'\n', E'\n    '),
		          ' ')
		 FROM pooldiag.recommendations" -At | fmt -s -w 110

	show "The same for a program." \
		"SELECT jsonb_pretty(pooldiag.health())" -At

	printf '\n--- The same over HTTP, which needs no connection: curl -s http://localhost:%s/api/v1/health/database\n\n' "$http_port"
	(exec 3<>"/dev/tcp/127.0.0.1/$http_port" &&
		printf 'GET /api/v1/health/database HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3 && tail -n 1 <&3) | fmt -w 110

	printf '\n--- A pool declared while the server runs: reporting now has a size.\n\n'
	sql postgres -d demo -At -c "
		SELECT replace(pooldiag.set_pool('reporting', application_name => 'reporting', size => 2, max_overflow => 1), '), ', E'),\n')"
	echo
	# The reload reaches the sampler in its own time.
	local i
	for ((i = 0; i < 20; i++)); do
		sql postgres -d demo -At -c "SELECT pooldiag.sample_now()"
		[[ $(sql oncall -d demo -At -c "SELECT count(*) FROM pooldiag.pools WHERE pool = 'reporting' AND declared") == 0 ]] || break
		sleep 0.2
	done
	sql oncall -d demo -P footer=off -P null=- -c "
		SELECT pool, declared, size, connections AS conns, round(saturation_percent) AS satur
		FROM pooldiag.pools WHERE pool LIKE '%reporting%'"
}

say_goodbye() {
	local psql=psql lasts="$seconds seconds"
	if [[ $((seconds % 60)) -eq 0 ]]; then
		lasts="$((seconds / 60)) minutes"
	fi
	command -v psql >/dev/null || psql=$bin/psql
	cat <<-EOT

		--- The server keeps running; the load stops by itself after $lasts.

		Connect, as the role on call:   $psql -h 127.0.0.1 -p $port -U oncall demo
		or as superuser:                $psql -h $run/var/sock -p $port -U postgres demo

		The status page, in a browser:  http://localhost:$http_port/

		Try:   curl -s http://localhost:$http_port/api/v1/health/detailed | jq '.metrics.connection_pool.utilization_percent'
		       curl -s http://localhost:$http_port/metrics
		       SELECT pooldiag.report() \watch 1
		       SELECT title, remedy FROM pooldiag.recommendations;     -- paste the remedy for the leaks, and see
		       SELECT * FROM pooldiag.blocking;                        -- who waited for them move on
		       SELECT jsonb_pretty(pooldiag.health_detailed());

		Logs:  $run/var/*.log
		Stop:  make demo-stop     (stops server and load, removes demo/)
	EOT
}

# One demo.sh a checkout at a time.
mkdir -p "$root/build"
exec 8>"$root/build/.demo.lock"
flock -n 8 || die "another demo.sh is at work in this checkout"

case ${1-} in
	start)
		"$root/scripts/setup.sh" demo
		PG_CONFIG=$(find_pg_config)
		export PG_CONFIG
		[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "DEMO_SECONDS is a number of seconds"

		if [[ -e $demo ]]; then
			say "stopping the demo that was here"
			stop_demo
		fi
		started=
		trap '[[ -n $started ]] || stop_demo' EXIT
		trap 'exit 129' HUP
		trap 'exit 130' INT
		trap 'exit 143' TERM

		say "building"
		make_run
		as_server=("${server_user[@]}" env -C "$run/var")
		private_pg "$run"
		locked private_install "$run" || die "the build failed"
		say "starting a server and its load in $run"
		start_server
		sql postgres -d postgres -c 'CREATE DATABASE demo'
		start_load
		say "waiting a few seconds for the load's troubles to show"
		wait_for_trouble
		show_all
		say_goodbye
		started=1
		;;
	stop)
		stop_demo
		say "stopped, and demo/ removed"
		;;
	*) die "usage: demo.sh start|stop" ;;
esac
