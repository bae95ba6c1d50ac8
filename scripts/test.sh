#!/usr/bin/env bash
# test.sh: runs every test against private servers and ends with the line "N passed, N failed".
#
#   ONLY=unit|regress|isolation|tap   that kind only
#   TESTS="NAME ..."                  those tests only (file names without the suffix)
#   JOBS=N                            so many TAP scripts at a time; two for each core, since they wait most of the time
#   KEEP=1                            keep the folder with servers' data and logs; kept anyway on failure
#   UNDER=sanitizers|valgrind|coverage   with an instrument: see instruments.sh
#
# A kind or a test that ends without a result counts as failed, and so does a run in which nothing ran.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=instruments.sh
. "$(dirname "${BASH_SOURCE[0]}")/instruments.sh"

kinds="unit regress isolation tap"
only=${ONLY:-$kinds}
read -ra wanted <<<"${TESTS-}" || true
for kind in $only; do
	[[ " $kinds " == *" $kind "* ]] || die "ONLY is one of: $kinds"
done

run=
children=()
jobs=${JOBS:-$(($(nproc) * 2))}
[[ $jobs =~ ^[1-9][0-9]?$ ]] || die "JOBS is a number from 1 to 99"
keep=${KEEP-}

# Longest that one program, test group or TAP script may take, in seconds.
limit=${TEST_TIMEOUT:-900}

finish() {
	local rc=$?
	trap - EXIT
	trap '' INT TERM HUP
	if [[ ${#children[@]} -gt 0 ]]; then
		kill "${children[@]}" 2>/dev/null || true
		wait "${children[@]}" 2>/dev/null || true
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

# A result: result 0|1 NAME [REMARK]
result() {
	if [[ $1 -eq 0 ]]; then
		printf 'ok     %s%s\n' "$2" "${3:+ ($3)}"
	else
		printf 'not ok %s%s\n' "$2" "${3:+ ($3)}"
	fi
}

# A result that counts as one test.
count() {
	if [[ $1 -eq 0 ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
	result "$@"
}

# The end of a file, for a reader who wants to know why.
# show WHAT FILE COMMAND ...
show() {
	if [[ -s $2 ]]; then
		printf '    %s:\n' "$1"
		"${@:3}" "$2" | sed 's/^/    | /'
	fi
}

# Starts a command with its output in the file $1. In the background, since bash heeds a signal only when the command
# in front has ended.
start_logged() {
	"${@:2}" >"$1" 2>&1 </dev/null &
	children+=($!)
}

# Waits for the next of them to end; sets ended to its process, and rc to its status.
wait_next() {
	local child left=()
	rc=0
	wait -n -p ended "${children[@]}" 2>/dev/null || rc=$?
	for child in "${children[@]}"; do
		if [[ $child -ne $ended ]]; then
			left+=("$child")
		fi
	done
	children=("${left[@]}")
}

# Runs one, and returns its status.
run_logged() {
	local rc ended
	start_logged "$@"
	wait_next
	return "$rc"
}

# Of the names read, those that TESTS asks for. The test init prepares the database for the others.
chosen() {
	local name any=
	local names=()
	while IFS= read -r name; do
		[[ -n $name ]] || continue
		if [[ ${#wanted[@]} -eq 0 || " ${wanted[*]} " == *" $name "* ]]; then
			any=1
			names+=("$name")
		elif [[ $name == init ]]; then
			names+=("$name")
		fi
	done
	if [[ -n $any ]]; then
		printf '%s\n' "${names[@]}"
	fi
}

# shellcheck disable=SC2034 # by its name
# The array $1 becomes the lines of $2. Where nothing is mounted, there is no /dev/fd for "< <(...)".
lines_into() {
	local -n lines=$1
	lines=()
	if [[ -n $2 ]]; then
		mapfile -t lines <<<"$2"
	fi
}

words() { tr -s ' \t' '\n' <<<"$1"; }
stems() {
	local file
	for file in "$@"; do
		file=${file##*/}
		printf '%s\n' "${file%.*}"
	done
}

# Reads TAP, of the outermost level, in the file $1 from a program that ended with status $2, and counts
# each of its tests; a plan that wasn't kept, or a program that failed with no test failing, is one more
# failure. Sets remark; false if anything failed.
count_tap() {
	local good bad todo planned
	good=$(grep -cE '^ok [0-9]+' "$1" || true)
	todo=$(grep -ciE '^not ok [0-9]+.*# *TODO' "$1" || true)
	bad=$(grep -cE '^not ok [0-9]+' "$1" || true)
	bad=$((bad - todo))
	good=$((good + todo))
	planned=$(sed -nE 's/^1\.\.([0-9]+).*/\1/p' "$1" | awk '{ n += $1 } END { print n + 0 }')
	remark="$((good + bad)) tests"
	if [[ $((good + bad)) -eq 0 && $2 -eq 0 ]] && grep -qE '^1\.\.0 # *SKIP|\.\. skipped: ' "$1"; then
		remark="skipped: $(sed -nE 's/^1\.\.0 # *SKIP *//ip' "$1" | head -n 1)"
	elif [[ $bad -gt 0 ]]; then
		remark="$remark, $bad failed"
	elif [[ $2 -eq 124 ]]; then
		remark="$remark, then stopped after $limit s"
		bad=1
	elif [[ $2 -ne 0 || $good -eq 0 ]]; then
		remark="$remark, then ended with status $2"
		bad=1
	elif [[ $planned -ne $good ]]; then
		remark="$remark, $planned planned"
		bad=1
	fi
	passed=$((passed + good))
	failed=$((failed + bad))
	[[ $bad -eq 0 ]]
}

run_unit() {
	local name rc log
	for name in "${unit[@]}"; do
		log=$run/$name.tap
		if [[ ! -x $run/unit/$name ]]; then
			count 1 "unit/$name" "does not compile"
			continue
		fi
		rc=0
		run_logged "$log" env CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 "$limit" "${under_unit[@]}" "$run/unit/$name" || rc=$?
		if count_tap "$log" "$rc"; then
			result 0 "unit/$name" "$remark"
		else
			result 1 "unit/$name" "$remark"
			show "output" "$log" tail -n 40
		fi
	done
}

# pg_regress and its likes: run_regress KIND PROGRAM INPUTDIR NAME ...
run_regress() {
	local kind=$1 program=$2 input=$3 out=$run/var/$1 rc=0 name state
	shift 3
	local options=(--inputdir="$input" --outputdir="$out" --bindir="$bin" --dlpath="$pkglib"
		--temp-instance="$out/instance" --temp-config="$source/test/pooldiag.conf" --dbname="$kind")
	if [[ $kind == isolation ]]; then
		options+=(--load-extension=pooldiag)
	fi
	"${server_user[@]}" mkdir "$out"
	# Without expected output a test should show what it has, not end the run.
	for name in "$@"; do
		if ! compgen -G "$input/expected/$name.out" >/dev/null && ! compgen -G "$input/expected/${name}_[0-9].out" >/dev/null; then
			: >"$input/expected/$name.out"
		fi
	done
	run_logged "$run/$kind.log" "${in_run[@]}" timeout -k 20 "$limit" "$program" "${options[@]}" "$@" || rc=$?

	local unfinished=0 bad=0
	for name in "$@"; do
		state=$(regress_results "$run/$kind.log" | sed -n "s/^$name //p")
		case $state in
			ok) count 0 "$kind/$name" ;;
			failed)
				count 1 "$kind/$name"
				bad=1
				;;
			*)
				count 1 "$kind/$name" "no result"
				unfinished=1
				;;
		esac
	done
	if [[ $rc -ne 0 && $bad -eq 0 && $unfinished -eq 0 ]]; then
		count 1 "$kind" "exit status $rc"
		unfinished=1
	fi
	if [[ $rc -ne 0 ]]; then
		show "differences" "$out/regression.diffs" head -n 200
	fi
	if grep -qsE "$crash_marks" "$out/log/postmaster.log"; then
		count 1 "$kind" "a process of the server has crashed"
		unfinished=1
	fi
	if [[ $unfinished -ne 0 ]]; then
		show "$kind" "$run/$kind.log" tail -n 30
		show "initdb" "$out/log/initdb.log" tail -n 10
		show "server log" "$out/log/postmaster.log" tail -n 40
	fi
}

# Starts the TAP script $1.
start_tap() {
	start_logged "$run/$1.tap" "${in_run[@]}" \
		env -C "$source/test" PATH="$bin:$PATH" PERL5LIB="$pgxs_test/perl:$source/test" \
		TESTDIR="$run/var/tap" TESTDATADIR="$run/var/tap/tmp_check" TESTLOGDIR="$run/var/tap/log" \
		PG_REGRESS="$pgxs_test/regress/pg_regress" PGPORT=65432 \
		timeout -k 20 "$limit" prove --verbose --nocolor --norc "t/$1.pl"
}

# Counts what it said, when it has ended with status $2.
end_tap() {
	local name=$1 log=$run/$1.tap
	# These kill servers on purpose; what is never meant is an assertion that fails.
	if grep -rqs --include="*$name*" '^TRAP:' "$run/var/tap/tmp_check/log" "$run/var/tap/log"; then
		count 1 "tap/$name" "an assertion of the server has failed"
	fi
	if count_tap "$log" "$2"; then
		result 0 "tap/$name" "$remark"
	else
		result 1 "tap/$name" "$remark"
		show "output" "$log" tail -n 60
		# The first up to PostgreSQL 15, the second from 16 on.
		show "log" "$run/var/tap/tmp_check/log/regress_log_$name" tail -n 40
		show "log" "$run/var/tap/log/regress_log_$name" tail -n 40
	fi
}

run_tap() {
	local next=0 rc ended
	local -A name_of=()
	"${server_user[@]}" mkdir -p "$run/var/tap"
	while [[ $next -lt ${#tap[@]} || ${#children[@]} -gt 0 ]]; do
		if [[ $next -lt ${#tap[@]} && ${#children[@]} -lt $jobs ]]; then
			start_tap "${tap[next]}"
			name_of[${children[-1]}]=${tap[next]}
			next=$((next + 1))
		else
			wait_next
			end_tap "${name_of[$ended]}" "$rc"
		fi
	done
}

"$root/scripts/setup.sh" test
# Here nothing is missing that a test could go without.
if is_debian; then
	export POOLDIAG_EQUIPPED=1
fi
PG_CONFIG=$(find_pg_config)
export PG_CONFIG

unit=() regress=() isolation=() tap=()
for kind in $only; do
	case $kind in
		unit) lines_into unit "$(stems "$root"/test/unit/test_*.c | grep -vxF 'test_*' | chosen)" ;;
		regress) lines_into regress "$(words "$(make_here print-REGRESS)" | chosen)" ;;
		isolation) lines_into isolation "$(words "$(make_here print-ISOLATION)" | chosen)" ;;
		tap) lines_into tap "$(stems "$root"/test/t/*.pl | grep -vxF '*' | chosen)" ;;
	esac
done
for name in "${wanted[@]}"; do
	[[ " ${unit[*]} ${regress[*]} ${isolation[*]} ${tap[*]} " == *" $name "* ]] || die "there is no test $name of kind: $only"
done

run=$(new_run_dir test)
source=$run/source
mkdir -p "$source"/{expected,test/expected}
for dir in sql expected test monitoring; do
	if [[ -d $root/$dir ]]; then
		cp -r "$root/$dir" "$source/"
	fi
done
chmod -R a+rX "$source"
under_prepare "$run"

build_unit() {
	local name
	# Programs that don't compile count as failed, one by one; the others run.
	make_here -k unit >"$run/unit.log" 2>&1 || true
	mkdir "$run/unit"
	for name in "${unit[@]}"; do
		cp "$tree/build/unit/$name" "$run/unit/" 2>/dev/null || true
	done
}
if [[ ${#unit[@]} -gt 0 ]]; then
	locked build_unit
	run_unit
	show "make unit" "$run/unit.log" tail -n 40
fi

if [[ $((${#regress[@]} + ${#isolation[@]} + ${#tap[@]})) -gt 0 ]]; then
	private_pg "$run"
	pgxs_test=$pkglib/pgxs/src/test
	# In a folder, and with one for temporary files, that the server's user can use.
	in_run=("${server_user[@]}" env -C "$run/var" TMPDIR="$run/var" LD_LIBRARY_PATH="$libraries")
	if locked private_install "$run"; then
		under_built "$bin"
		if [[ ${#regress[@]} -gt 0 ]]; then
			run_regress regress "$pgxs_test/regress/pg_regress" "$source" "${regress[@]}"
		fi
		if [[ ${#isolation[@]} -gt 0 ]]; then
			run_regress isolation "$pgxs_test/isolation/pg_isolation_regress" "$source/test" "${isolation[@]}"
		fi
		if [[ ${#tap[@]} -gt 0 ]]; then
			run_tap
		fi
	else
		count 1 build "and so no regress, isolation or TAP test ran"
	fi
fi

under_finish
if [[ $((passed + failed)) -eq 0 ]]; then
	say "no test ran"
fi
if [[ $failed -gt 0 ]]; then
	keep=1
fi
if [[ -n $keep ]]; then
	say "kept, with results, servers' data and logs: $run"
fi
print_total
[[ $failed -eq 0 && $passed -gt 0 ]]
