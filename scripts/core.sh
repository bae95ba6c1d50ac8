#!/usr/bin/env bash
# core.sh FOLDER: PostgreSQL's own regression and isolation tests, on the server that server.sh has put
# in the folder, bare and with pooldiag preloaded and everything on. Each test of the suites counts: it
# passes where both servers give the same result. Ends with "N passed, N failed".
#
#   ONLY=regress|isolation   that suite only
#   KEEP=1                   keep the folder with results and logs; kept anyway on failure

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
exec </dev/null

[[ $# -eq 1 && -d $1/source ]] || die "usage: core.sh FOLDER, of one that server.sh has written"
made=$1
PG_CONFIG=$made/pg/bin/pg_config
export PG_CONFIG

suites="regress isolation"
only=${ONLY:-$suites}
for suite in $only; do
	[[ " $suites " == *" $suite "* ]] || die "ONLY is one of: $suites"
done

keep=${KEEP-}
run=
children=()

finish() {
	local rc=$?
	trap - EXIT
	trap '' INT TERM HUP
	if [[ ${#children[@]} -gt 0 ]]; then
		kill "${children[@]}" 2>/dev/null || true
		wait
	fi
	if [[ -n $run ]]; then
		stop_servers "$run"
		if [[ -z $keep ]]; then
			rm -rf "$run"
		fi
	fi
	exit "$rc"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Starts the suite $1 on the server $2, bare or preloaded, with a configuration of its own.
start() {
	local suite=$1 server=$2 where=$run/var/$1-$2
	local program=$where/pg_regress schedule=parallel_schedule options=(--max-concurrent-tests=20)
	if [[ $suite == isolation ]]; then
		program=$where/pg_isolation_regress
		schedule=isolation_schedule
		options=()
	fi
	cp -r "$made/source/src/test/$suite" "$where"
	: >"$where/settings"
	if [[ $server == preloaded ]]; then
		cat "$root/test/everything.conf" >"$where/settings"
	fi
	if [[ $EUID -eq 0 ]]; then
		chown -R postgres: "$where"
	fi
	"${server_user[@]}" env -C "$where" TMPDIR="$run/var" LD_LIBRARY_PATH="$libraries" PG_TEST_TIMEOUT_DEFAULT=600 timeout -k 20 "${TEST_TIMEOUT:-1800}" \
		"$program" --inputdir=. --outputdir=. --dlpath=. --bindir="$bin" --temp-instance="$where/instance" \
		--temp-config="$where/settings" --schedule="$schedule" "${options[@]}" >"$run/$suite-$server.log" 2>&1 </dev/null &
	children+=("$!")
}

# The tests of a suite, from its schedule.
tests_of() { sed -n 's/^test: *//p' "$run/var/$1-bare/$([[ $1 == regress ]] && echo parallel || echo isolation)_schedule" | tr -s ' \t' '\n'; }

# What would be no difference, and is wrong all the same: a suite that doesn't come to its end for another reason
# than tests that fail, and a server's process that crashes. check_run SUITE SERVER STATUS
check_run() {
	local log=$run/$1-$2.log server_log=$run/var/$1-$2/log/postmaster.log
	if [[ $3 -ne 0 ]] && { [[ $3 -ge 124 ]] || ! grep -q ' failed$' "$run/$1-$2.results"; }; then
		failed=$((failed + 1))
		printf 'not ok core/%s (status %d on the %s server)\n' "$1" "$3" "$2"
		tail -n 20 "$log" | sed 's/^/    | /'
	fi
	if grep -E "$crash_marks" "$server_log" >"$run/crash"; then
		failed=$((failed + 1))
		printf 'not ok core/%s (a process of the %s server has crashed)\n' "$1" "$2"
		head -n 20 "$run/crash" | sed 's/^/    | /'
	fi
}

# compare SUITE STATUS STATUS, of the bare and the preloaded server's run
compare() {
	local suite=$1 name bare preloaded before=$failed
	for server in bare preloaded; do
		regress_results "$run/$suite-$server.log" >"$run/$suite-$server.results"
	done
	check_run "$suite" bare "$2"
	check_run "$suite" preloaded "$3"
	for name in $(tests_of "$suite"); do
		bare=$(sed -n "s/^$name //p" "$run/$suite-bare.results")
		preloaded=$(sed -n "s/^$name //p" "$run/$suite-preloaded.results")
		if [[ $preloaded == ok && -n $bare ]]; then
			passed=$((passed + 1))
			if [[ $bare == failed ]]; then
				printf 'ok     core/%s/%s (on the bare server it has failed)\n' "$suite" "$name"
			fi
		elif [[ $preloaded == failed && $bare == failed ]] && cmp -s "$run/var/$suite-"{bare,preloaded}/results/"$name.out"; then
			passed=$((passed + 1))
			printf 'ok     core/%s/%s (fails as it does on the bare server)\n' "$suite" "$name"
		else
			failed=$((failed + 1))
			printf 'not ok core/%s/%s (bare: %s, with pooldiag: %s)\n' "$suite" "$name" "${bare:-no result}" "${preloaded:-no result}"
			diff -u "$run/var/$suite-"{bare,preloaded}/results/"$name.out" 2>&1 | head -n 40 | sed 's/^/    | /' || true
		fi
	done
	printf '%s: %d tests, %d failures\n' "$suite" "$(tests_of "$suite" | wc -l)" "$((failed - before))"
}

"$root/scripts/setup.sh" test
run=$(new_run_dir core)
private_pg "$run"
if locked private_install "$run"; then
	for suite in $only; do
		# Side by side, since they wait more than they work.
		children=()
		start "$suite" bare
		start "$suite" preloaded
		statuses=()
		for child in "${children[@]}"; do
			rc=0
			wait "$child" || rc=$?
			statuses+=("$rc")
		done
		children=()
		compare "$suite" "${statuses[@]}"
	done
else
	say "pooldiag does not build for $("$PG_CONFIG" --version)"
	failed=1
fi
if [[ $failed -gt 0 ]]; then
	keep=1
fi
if [[ -n $keep ]]; then
	say "kept, with results and logs: $run"
fi
print_total
[[ $failed -eq 0 && $passed -gt 0 ]]
