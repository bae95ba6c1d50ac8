# shellcheck shell=bash
# lib.sh: what the benches share. RUN and BIN come from scripts/bench.sh.

# shellcheck source-path=SCRIPTDIR/../../scripts source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# shellcheck disable=SC2034 # used by the benches
bench=$root/test/bench
# shellcheck disable=SC2034 # used by the benches
python=$(find_python)

# A server with room for $1 connections and, behind it, further lines of configuration. It listens in
# $RUN/var only, so that benches side by side don't meet.
start_bench_server() {
	local data=$RUN/var/data slots=$1
	shift
	"${server_user[@]}" "$BIN/initdb" -D "$data" -A trust -U postgres -E UTF8 --no-locale >/dev/null
	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$RUN/var'"
		echo "shared_preload_libraries = 'pooldiag'"
		echo "max_connections = $slots"
		echo "shared_buffers = 256MB"
		printf '%s\n' "$@"
	} | "${server_user[@]}" tee -a "$data/postgresql.conf" >/dev/null
	"${server_user[@]}" "$BIN/pg_ctl" -D "$data" -l "$RUN/var/log" -w start >/dev/null
	export PGHOST=$RUN/var PGUSER=postgres PGDATABASE=postgres
	chmod 711 "$RUN/var"
	"$BIN/psql" -Xqc 'CREATE EXTENSION pooldiag'
}

stop_bench_server() {
	"${server_user[@]}" "$BIN/pg_ctl" -D "$RUN/var/data" -m fast -w stop >/dev/null
	rm -rf "$RUN/var/data"
}
