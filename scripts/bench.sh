#!/usr/bin/env bash
# bench.sh: runs the scripts test/bench/*.sh, or those that BENCH="NAME ..." names, one after the other.
#
# Each finds in its environment RUN, a folder for it whose var/ belongs to the server's user, and BIN,
# the programs of a private PostgreSQL with pooldiag installed. scripts/lib.sh has what starts a server.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

run=
finish() {
	local rc=$?
	trap '' INT TERM HUP
	if [[ -n $run ]]; then
		stop_servers "$run"
		rm -rf "$run"
	fi
	exit "$rc"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

"$root/scripts/setup.sh" test
# Some benches go without a part of this, and say so.
"$root/scripts/setup.sh" bench || say "going on without that"
PG_CONFIG=$(find_pg_config)
export PG_CONFIG

read -ra names <<<"${BENCH-}" || true
if [[ ${#names[@]} -eq 0 ]]; then
	for file in "$root"/test/bench/*.sh; do
		[[ -e $file ]] || die "there is no test/bench/*.sh"
		names+=("$(basename "$file" .sh)")
	done
fi

for name in "${names[@]}"; do
	[[ -f $root/test/bench/$name.sh ]] || die "there is no test/bench/$name.sh"
	run=$(new_run_dir bench)
	private_pg "$run"
	locked private_install "$run" || die "the build failed"
	say "bench $name"
	RUN=$run BIN=$bin bash "$root/test/bench/$name.sh"
	stop_servers "$run"
	rm -rf "$run"
	run=
done
