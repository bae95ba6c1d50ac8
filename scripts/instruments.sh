# shellcheck shell=bash
# instruments.sh: what the tests can be run under. test.sh sources it, with UNDER one of
#
#   sanitizers   pooldiag and the unit tests with AddressSanitizer and UndefinedBehaviorSanitizer
#   valgrind     the server's processes and the unit tests under memcheck. It sees all of the server's
#                memory where that was built for it, as server.sh builds it; VALGRIND_SUPPRESSIONS names
#                a file with what is known to be harmless
#   coverage     which lines of src/ the tests run: a table at the end, pages in build/coverage
#
# Each finding, in whichever process, is a failure, beside what it does to the tests. pooldiag is built
# in a copy of the checkout, so that no such object is left in there.
#
# A server's process gets its instrument from a script in the place of the program postgres.

# shellcheck disable=SC2034,SC2154 # variables of, and for, test.sh

under=${UNDER-}
case $under in
	'' | sanitizers | valgrind | coverage) ;;
	*) die "UNDER is one of: sanitizers valgrind coverage" ;;
esac

# Flags to compile and link with; for make.
export INSTRUMENT=
# What unit tests are run with: words of a command.
under_unit=()
# The server's: what is in its environment, and words of a command.
under_environment=()
under_server=()
# Where findings go, one file a process: begins with this.
findings=
# No module should have a smaller share of its lines run, in percent.
least_coverage=85

# Prepares for a run in the folder $1.
under_prepare() {
	local run=$1 options
	[[ -n $under ]] || return 0
	tree=$run/tree
	copy_checkout "$tree"
	findings=$run/findings/of
	mkdir -m 1777 "$run/findings"
	case $under in
		sanitizers)
			INSTRUMENT="-fsanitize=address,undefined,float-divide-by-zero,float-cast-overflow -fno-sanitize-recover=all"
			# The server's own flags give an overflow a meaning, which ours should not need.
			INSTRUMENT+=" -fno-wrapv -fno-omit-frame-pointer -g -O1"
			options=log_path=$findings:abort_on_error=1:print_stacktrace=1
			under_unit=(env "ASAN_OPTIONS=$options:detect_leaks=1" "UBSAN_OPTIONS=$options")
			# A server's process ends without giving back what the system takes back.
			under_environment=("LD_PRELOAD=$(gcc -print-file-name=libasan.so)" "ASAN_OPTIONS=$options:detect_leaks=0"
				"UBSAN_OPTIONS=$options")
			;;
		valgrind)
			"$root/scripts/setup.sh" valgrind
			options=(--quiet --num-callers=30 --log-file="$findings.%p" --error-exitcode=99 --trace-children=no
				--child-silent-after-fork=no --gen-suppressions=all)
			under_unit=(valgrind "${options[@]}" --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all)
			under_server=(valgrind "${options[@]}" --leak-check=no
				${VALGRIND_SUPPRESSIONS:+"--suppressions=$VALGRIND_SUPPRESSIONS"})
			;;
		coverage)
			"$root/scripts/setup.sh" coverage
			INSTRUMENT="--coverage -O0"
			# The server's processes write their counts beside the objects.
			chmod -R a+rwX "$tree"
			;;
	esac
}

# Puts the script in the place of the program postgres in the folder $1.
under_wrap() {
	[[ ${#under_environment[@]} -gt 0 || ${#under_server[@]} -gt 0 ]] || return 0
	mv "$1/postgres" "$1/postgres.program"
	# shellcheck disable=SC2016 # for the shell that runs it
	{
		printf '#!/bin/bash\n'
		# Not for what initdb and pg_ctl ask of it.
		printf 'case ${1-} in --boot | --single | --check | --version | -V | -C) exec -a "$0" "$0.program" "$@" ;; esac\n'
		if [[ ${#under_environment[@]} -gt 0 ]]; then
			printf 'export'
			printf ' %q' "${under_environment[@]}"
			printf '\n'
		fi
		# Where it can be: by the script's name, so that a restart goes through the script too.
		if [[ ${#under_server[@]} -eq 0 ]]; then
			printf 'exec -a "$0" "$0.program" "$@"\n'
		else
			printf 'exec'
			printf ' %q' "${under_server[@]}"
			printf ' "$0.program" "$@"\n'
		fi
	} >"$1/postgres"
	chmod 755 "$1/postgres"
}

# Counts what was found, and shows it.
under_finish() {
	local file
	[[ -n $under ]] || return 0
	for file in "$findings".*; do
		if [[ -s $file ]]; then
			count 1 "$under/${file##*/}"
			show "report" "$file" head -n 60
		fi
	done
	if [[ $under == coverage ]]; then
		report_coverage
	fi
}

# The share of each module's lines that ran, and of all; a module with too small a share is a failure.
report_coverage() {
	local pages=$root/build/coverage module lines covered share all_lines=0 all_covered=0
	rm -rf "$pages"
	mkdir -p "$pages"
	gcovr --root "$tree" --filter "$tree/src/" --exclude-throw-branches --csv "$run/coverage.csv" \
		--html-details "$pages/index.html" "$tree" >"$run/gcovr.log" 2>&1 || {
		count 1 coverage "gcovr failed"
		show "gcovr" "$run/gcovr.log" tail -n 20
		return
	}
	while IFS=, read -r module lines covered _; do
		[[ $module == src/*.c ]] || continue
		all_lines=$((all_lines + lines))
		all_covered=$((all_covered + covered))
		share=$((covered * 1000 / (lines > 0 ? lines : 1)))
		if [[ $share -ge $((least_coverage * 10)) ]]; then
			count 0 "coverage/${module#src/}" "$((share / 10)).$((share % 10)) % of $lines lines"
		else
			count 1 "coverage/${module#src/}" "$((share / 10)).$((share % 10)) % of $lines lines, and it should be $least_coverage"
		fi
	done <"$run/coverage.csv"
	say "$(awk -v c="$all_covered" -v l="$all_lines" 'BEGIN { printf "%.1f %% of %d lines ran", 100 * c / l, l }'); see $pages/index.html"
}
