# shellcheck shell=bash
# lib.sh: what the benches share. RUN and BIN come from scripts/bench.sh.

# shellcheck source-path=SCRIPTDIR/../../scripts source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# shellcheck disable=SC2034 # used by the benches
bench=$root/test/bench
# shellcheck disable=SC2034 # used by the benches
python=$(find_python)

# A cluster in $RUN/var/$1 and, behind its name, lines of configuration. Its server listens in $RUN/var, or where a
# line says, so that benches side by side don't meet.
new_cluster() {
	local data=$RUN/var/$1
	shift
	"${server_user[@]}" "$BIN/initdb" -D "$data" -A trust -U postgres -E UTF8 --no-locale >/dev/null
	configure_cluster "$data" "listen_addresses = ''" "unix_socket_directories = '$RUN/var'" "$@"
}

configure_cluster() { printf '%s\n' "${@:2}" | "${server_user[@]}" tee -a "$1/postgresql.conf" >/dev/null; }

# A server with room for $1 connections and, behind it, further lines of configuration.
start_bench_server() {
	local data=$RUN/var/data slots=$1
	shift
	new_cluster data "shared_preload_libraries = 'pooldiag'" "max_connections = $slots" "shared_buffers = 256MB" "$@"
	"${server_user[@]}" "$BIN/pg_ctl" -D "$data" -l "$RUN/var/log" -w start >/dev/null
	export PGHOST=$RUN/var PGUSER=postgres PGDATABASE=postgres
	chmod 711 "$RUN/var"
	"$BIN/psql" -Xqc 'CREATE EXTENSION pooldiag'
}

stop_bench_server() {
	"${server_user[@]}" "$BIN/pg_ctl" -D "$RUN/var/data" -m fast -w stop >/dev/null
	rm -rf "$RUN/var/data"
}

# The bare server, and the extensions that a bench compares it with. Without one of the peers the bench goes on.
find_variants() {
	local library
	variants=(bare pooldiag)
	for library in pg_stat_statements pg_wait_sampling; do
		if [[ -f $("$BIN/pg_config" --pkglibdir)/$library.so ]]; then
			variants+=("$library")
		else
			say "$library is left out: this PostgreSQL doesn't have it"
		fi
	done
}

# One cluster for each of them, $RUN/var/NAME, where its server listens too: copies of one, with pgbench's tables in
# it, that differ in what they preload. pooldiag has everything on, and ten samples a second.
make_variants() {
	local data=$RUN/var/bare name
	find_variants
	export PGUSER=postgres PGDATABASE=postgres
	new_cluster bare "shared_buffers = 128MB" "fsync = off" "autovacuum = off" "max_connections = 20"
	"${server_user[@]}" "$BIN/pg_ctl" -D "$data" -l "$RUN/var/log" -w start >/dev/null
	PGHOST=$RUN/var "$BIN/pgbench" -i -q -s 1 >/dev/null 2>&1
	"${server_user[@]}" "$BIN/pg_ctl" -D "$data" -m fast -w stop >/dev/null
	for name in "${variants[@]:1}"; do
		"${server_user[@]}" cp -a "$data" "$RUN/var/$name"
		configure_cluster "$RUN/var/$name" "shared_preload_libraries = '$name'"
	done
	configure_cluster "$RUN/var/pooldiag" "pooldiag.sample_interval = 100ms" \
		"pooldiag.pools = 'web(application_name=web*, size=20), jobs(user=jobs, size=5)'"
	for name in "${variants[@]}"; do
		configure_cluster "$RUN/var/$name" "unix_socket_directories = '$RUN/var/$name'"
	done
}
