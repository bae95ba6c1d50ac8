#!/usr/bin/env bash
# checked.sh KIND: tests on a server that checks more than one from a package does; see server.sh. KIND is
#
#   cassert      the whole suite with the server's assertions on
#   sanitize     the same, with pooldiag and the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   valgrind     unit, regression and isolation tests, with the server's processes under memcheck
#   core         PostgreSQL's own tests, bare and with pooldiag
#
#   VERSIONS="15 18"    the versions of PostgreSQL (18)
#   ONLY, TESTS, KEEP   as in test.sh
#
# Ends with "N passed, N failed", and ", N skipped" where versions had no server for want of an archive.
# Fails if anything has failed, and if nothing has passed.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

trap 'exit 130' INT
trap 'exit 143' TERM HUP

kind=${1-}
unset PG_CONFIG
read -ra versions <<<"${VERSIONS:-18}"
for version in "${versions[@]}"; do
	case $kind in
		cassert) command=("$root/scripts/test.sh") ;;
		sanitize) command=(env UNDER=sanitizers "$root/scripts/test.sh") ;;
		valgrind) command=(env UNDER=valgrind ONLY="${ONLY:-unit regress isolation}" "$root/scripts/test.sh") ;;
		core) command=("$root/scripts/core.sh") ;;
		*) die "usage: checked.sh cassert|sanitize|valgrind|core" ;;
	esac
	rc=0
	made=$("$root/scripts/server.sh" "$version") || rc=$?
	if [[ $rc -eq 2 ]]; then
		skipped=$((skipped + 1))
		printf '%s: skipped, not tested\n' "$version"
		continue
	elif [[ $rc -ne 0 ]]; then
		failed=$((failed + 1))
		printf 'not ok server/%s\n' "$version"
		continue
	fi
	export PG_CONFIG=$made/pg/bin/pg_config VALGRIND_SUPPRESSIONS=$made/source/src/tools/valgrind.supp
	if [[ $kind == core ]]; then
		command+=("$made")
	fi
	before=$passed:$failed
	started=$SECONDS
	add_total_of "${command[@]}"
	printf '%s: %d passed, %d failed (%s, %s, %d s)\n' "$version" $((passed - ${before%:*})) $((failed - ${before#*:})) \
		"$kind" "$("$PG_CONFIG" --version)" $((SECONDS - started))
done
print_total
[[ $failed -eq 0 && $passed -gt 0 ]]
