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
			env -u PG_CONFIG "$root/scripts/setup.sh" valgrind
			options=(--quiet --num-callers=30 --log-file="$findings.%p" --error-exitcode=99 --trace-children=no
				--child-silent-after-fork=no --gen-suppressions=all)
			under_unit=(valgrind "${options[@]}" --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all)
			under_server=(valgrind "${options[@]}" --leak-check=no)
			if [[ -n ${VALGRIND_SUPPRESSIONS-} ]]; then
				cp "$VALGRIND_SUPPRESSIONS" "$run/suppressions"
				chmod 644 "$run/suppressions"
				under_server+=("--suppressions=$run/suppressions")
			fi
			;;
		coverage)
			env -u PG_CONFIG "$root/scripts/setup.sh" coverage
			INSTRUMENT="--coverage -O0"
			;;
	esac
}

# To be called when pooldiag is built, with the folder of the server's programs. Puts the script in the place
# of the program postgres.
under_built() {
	# The server's processes write their counts beside the objects.
	if [[ $under == coverage ]]; then
		chmod a+rwx "$tree/src"
	fi
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

# The share of each module's lines that ran, and of all. When all tests have run, a module with too small a
# share is a failure, and so is one that nothing is known of.
report_coverage() {
	local pages=$root/build/coverage file module lines covered share all_lines=0 all_covered=0 judged=1
	if [[ -n ${ONLY-} || -n ${TESTS-} ]]; then
		judged=
	fi
	mkdir "$run/pages"
	if ! gcovr --root "$tree" --filter "$tree/src/" --exclude-throw-branches --csv "$run/coverage.csv" \
		--html-details "$run/pages/index.html" "$tree" >"$run/gcovr.log" 2>&1; then
		count 1 coverage "gcovr failed"
		show "gcovr" "$run/gcovr.log" tail -n 20
		return
	fi
	for file in "$root"/src/*.c; do
		module=${file##*/}
		IFS=, read -r _ lines covered _ <<<"$(grep "^src/$module," "$run/coverage.csv" || true)"
		all_lines=$((all_lines + ${lines:-0}))
		all_covered=$((all_covered + ${covered:-0}))
		share=$((${covered:-0} * 1000 / (${lines:-0} > 0 ? lines : 1)))
		if [[ -z $judged ]]; then
			printf '       coverage/%s (%d.%d %% of %d lines)\n' "$module" $((share / 10)) $((share % 10)) "${lines:-0}"
		elif [[ $share -ge $((least_coverage * 10)) ]]; then
			count 0 "coverage/$module" "$((share / 10)).$((share % 10)) % of $lines lines"
		else
			count 1 "coverage/$module" "$((share / 10)).$((share % 10)) % of ${lines:-0} lines, and it should be $least_coverage"
		fi
	done
	locked keep_pages
	say "$((all_covered * 1000 / all_lines / 10)).$((all_covered * 1000 / all_lines % 10)) % of $all_lines lines ran; see $pages/index.html"
}

keep_pages() {
	mkdir -p "$pages"
	rm -rf "$pages"
	cp -r "$run/pages" "$pages"
}
