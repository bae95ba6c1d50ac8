#!/usr/bin/env bash
# matrix.sh: the whole suite on each supported version of PostgreSQL, each in a root folder of its own
# with that version's Debian packages. One line a version; ends with "N passed, N failed", or with
# "N passed, N failed, N skipped" where versions could not be tested. Fails if anything has failed, and
# if nothing has passed.
#
#   MATRIX="17 18"        those versions only
#   MATRIX_DIR=DIR        where root folders and logs are kept: 0.6 GB a version (build/matrix)
#   MATRIX_BUDGET=1200    seconds that all of it may take; what does not fit is skipped
#   COPT="-Wall -Werror"  further flags for the compiler
#   ONLY, TESTS, KEEP     as in test.sh
#
# A root folder is made in seconds, kept, and made anew after a week or when its recipe has changed.
# Nothing is mounted, no package is configured, and the machine's own PostgreSQL is not touched. The
# archive's address and keys are those of the machine's apt. Where it does not answer, a root folder
# that is there still serves; a version without one is skipped.

# shellcheck disable=SC2317 # functions that are called by name
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=archive.sh
. "$(dirname "${BASH_SOURCE[0]}")/archive.sh"
exec </dev/null

read -ra versions <<<"${MATRIX:-15 17 18 19}"
fresh_days=7

# The server's development package depends on a whole LLVM; it is unpacked beside these, alone.
packages_of() {
	echo base-files dash bash coreutils sed grep gzip tar hostname findutils diffutils mawk util-linux \
		gcc libc6-dev make libkrb5-dev libmicrohttpd-dev libcmocka-dev perl libipc-run-perl tzdata \
		python3 python3-psycopg2 python3-sqlalchemy \
		"postgresql-$1" "postgresql-client-$1" libpq-dev
}

for version in "${versions[@]}"; do
	suites_of "$version" >/dev/null
done

child=
current=
slowest=${MATRIX_EXPECT:-0}
budget=${MATRIX_BUDGET-}
scratch=$(mktemp -d)

# Ends what still runs in the root folder $1, which nobody else uses.
end_processes() {
	local process
	for process in /proc/[0-9]*; do
		if [[ $(readlink "$process/root" 2>/dev/null) == "$1" ]]; then
			kill -KILL "${process#/proc/}" 2>/dev/null || true
		fi
	done
}

finish() {
	local rc=$?
	trap - EXIT
	trap '' INT TERM HUP
	if [[ -n $child ]]; then
		kill -- "-$child" 2>/dev/null || true
		wait "$child" 2>/dev/null || true
	fi
	rm -rf "$scratch"
	if [[ -n $current ]]; then
		end_processes "$dir/$current"
		rm -rf --one-file-system "$dir/$current.new"
	fi
	exit "$rc"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command with its output in the file $1; returns its status. In the background, since bash
# heeds a signal only when the command in front has ended, and as a process group, to end all of it;
# without the lock, which is this script's.
run_logged() {
	local rc=0
	set -m
	"${@:2}" >"$1" 2>&1 8>&- &
	child=$!
	set +m
	wait "$child" 2>/dev/null || rc=$?
	child=
	return $rc
}

# skip VERSION REASON; REASON names no failure of the project's.
skip() {
	skipped=$((skipped + 1))
	printf '%s: skipped, not tested: %s\n' "$1" "$2"
}

finish_all() {
	print_total
	[[ $failed -eq 0 && $passed -gt 0 ]] || exit 1
	exit 0
}

skip_all() {
	for version in "${versions[@]}"; do
		skip "$version" "$1"
	done
	finish_all
}

# Can root folders be in the folder $1? They hold programs and devices.
holds_roots() {
	local ok=1
	mkdir -p "$1/probe" 2>/dev/null || return 1
	printf '#!/bin/sh\n' >"$1/probe/program"
	chmod 755 "$1/probe/program"
	if mknod -m 666 "$1/probe/null" c 1 3 2>/dev/null && : 2>/dev/null >"$1/probe/null" && "$1/probe/program" 2>/dev/null; then
		ok=0
	fi
	rm -rf "$1/probe"
	return $ok
}

choose_dir() {
	local choice
	for choice in "${MATRIX_DIR:-$root/build/matrix}" "${TMPDIR:-/var/tmp}/pooldiag-matrix"; do
		if holds_roots "$choice"; then
			(cd "$choice" && pwd -P)
			return
		fi
	done
	return 1
}

# What a root folder is made from, but for where it comes from: changes with the recipe.
recipe_of() {
	{
		suites_of "$1"
		packages_of "$1"
		declare -f make_root furnish
	} | cksum
}

# Is the root folder of version $1 whole and made by this recipe; and, with "fresh", lately?
have_root() {
	[[ -d $dir/$1 && $(cat "$dir/$1.made" 2>/dev/null) == "$(recipe_of "$1")" ]] || return 1
	[[ ${2-} != fresh || -n $(find "$dir/$1.made" -mtime "-$fresh_days") ]]
}

# What configuring the packages would have done, as far as anything here needs it.
furnish() {
	local made=$1
	[[ -e $made/bin/sh ]] || ln -s dash "$made/bin/sh"
	[[ -e $made/usr/bin/awk ]] || ln -s mawk "$made/usr/bin/awk"
	echo 'root:x:0:0::/root:/bin/sh' >"$made/etc/passwd"
	echo 'postgres:x:5432:5432::/tmp:/bin/sh' >>"$made/etc/passwd"
	echo 'root:x:0:' >"$made/etc/group"
	echo 'postgres:x:5432:' >>"$made/etc/group"
	echo '127.0.0.1 localhost' >"$made/etc/hosts"
	rm -rf "$made"/usr/share/{doc,info,locale,man} "$made/etc/apt/apt.conf.d"
	chroot "$made" /bin/sh -c 'command -v gcc make perl python3 awk' >/dev/null
}

# Makes the root folder of version $1. Returns 2 where that is for the archive to mend, not for us.
make_root() {
	local version=$1 new=$dir/$1.new status
	local lines=() options=()
	archive_lines deb "$version" "$scratch/InRelease" || return 2
	apt_settings >"$scratch/apt"
	options+=(--variant=extract --aptopt="$scratch/apt" --include="$(packages_of "$version" | tr ' ' ',')")
	if [[ ${lines[*]} == *experimental* ]]; then
		# No more and no less preferred than the other suite, for what is of this version's source.
		printf 'Package: src:postgresql-%s\nPin: release a=experimental\nPin-Priority: 500\n' "$version" >"$scratch/pin"
		options+=(--setup-hook="upload '$scratch/pin' /etc/apt/preferences.d/pooldiag")
	fi
	options+=(--extract-hook="cd \"\$1/tmp\" && APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\" apt-get -q download postgresql-server-dev-$version &&
		dpkg -x postgresql-server-dev-*.deb \"\$1\" && rm postgresql-server-dev-*.deb")
	rm -rf --one-file-system "$new"
	status=0
	timeout --verbose 900 mmdebstrap "${options[@]}" "" "$new" "${lines[@]}" 2>&1 | tee "$scratch/output" || status=1
	if [[ $status -ne 0 ]]; then
		if grep -qE '^E: (Failed to fetch|Unable to (fetch|locate)|Some index files failed|Unable to correct|The repository)|unmet dependencies|^timeout:' "$scratch/output"; then
			echo "the archive failed meanwhile"
			status=2
		fi
		rm -rf --one-file-system "$new"
	elif furnish "$new"; then
		rm -f "$dir/$version.made"
		rm -rf --one-file-system "${dir:?}/$version"
		mv "$new" "$dir/$version"
		recipe_of "$version" >"$dir/$version.made"
	else
		echo "the root folder lacks something"
		status=1
	fi
	return "$status"
}

# Sees to a root folder for version $1; false if there is none, and then that is counted and said.
provide_root() {
	local version=$1 log=$dir/$1.root.log rc=0
	have_root "$version" fresh && return
	run_logged "$log" env -u PG_CONFIG "$root/scripts/setup.sh" matrix || rc=2
	if [[ $rc -eq 0 ]]; then
		run_logged "$log" make_root "$version" || rc=$?
	fi
	if [[ $rc -eq 0 ]]; then
		return
	elif [[ $rc -eq 2 ]] && have_root "$version"; then
		say "$version: $(tail -n 1 "$log"); going on with the root folder of $(date -r "$dir/$version.made" +%F)"
	elif [[ $rc -eq 2 ]]; then
		skip "$version" "$(tail -n 1 "$log") (log $log)"
		return 1
	else
		failed=$((failed + 1))
		printf '%s: 0 passed, 1 failed: no root folder: %s (log %s)\n' "$version" \
			"$(grep -m 1 '^E: ' "$log" || tail -n 1 "$log")" "$log"
		return 1
	fi
}

# Runs the suite in the root folder of version $1, in $2 seconds at most (0: as long as it takes).
run_suite() {
	local version=$1 limit=$2 log=$dir/$1.log rc=0 started=$SECONDS total remark
	local bin=/usr/lib/postgresql/$version/bin
	rm -rf --one-file-system "$dir/$version"/tmp/*
	rm -rf --one-file-system "$dir/$version/src"
	copy_checkout "$dir/$version/src"
	chroot "$dir/$version" /bin/chown -R postgres: /src
	run_logged "$log" timeout -k 60 "$limit" chroot --userspec=postgres: "$dir/$version" \
		/usr/bin/env -i HOME=/tmp USER=postgres LOGNAME=postgres PATH="$bin:/usr/bin:/bin:/usr/sbin:/sbin" TMPDIR=/tmp \
		PG_CONFIG="$bin/pg_config" ${ONLY:+"ONLY=$ONLY"} ${TESTS:+"TESTS=$TESTS"} ${KEEP:+"KEEP=$KEEP"} ${COPT:+"COPT=$COPT"} \
		/src/scripts/test.sh || rc=$?
	end_processes "$dir/$version"
	remark="$(chroot "$dir/$version" "$bin/pg_config" --version), $((SECONDS - started)) s, log $log"
	total=$(tail -n 1 "$log")
	if [[ $rc -eq 124 || $rc -eq 137 ]]; then
		failed=$((failed + 1))
		printf '%s: 0 passed, 1 failed: stopped after %d s (log %s)\n' "$version" "$limit" "$log"
	elif [[ ! $total =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		failed=$((failed + 1))
		printf '%s: 0 passed, 1 failed: ended with status %d (log %s)\n' "$version" "$rc" "$log"
		tail -n 20 "$log" | sed 's/^/    | /'
	else
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
		printf '%s: %s (%s)\n' "$version" "$total" "$remark"
		grep '^not ok' "$log" | sed 's/^/    /' || true
	fi
	if [[ $((SECONDS - started)) -gt $slowest ]]; then
		slowest=$((SECONDS - started))
	fi
}

[[ $EUID -eq 0 ]] || skip_all "only root can make root folders; start it with sudo"
dir=$(choose_dir) || skip_all "no folder where programs and devices work; name one with MATRIX_DIR"
exec 8>"$dir/.lock"
if ! flock -n 8; then
	say "waiting for another run in $dir"
	flock -w "${budget:-3600}" 8 || skip_all "another run has $dir"
fi

for current in "${versions[@]}"; do
	# A run is begun where there is time for one that is somewhat slower than the slowest so far.
	if [[ -n $budget && $((budget - SECONDS)) -le $((slowest + slowest / 4 + 30)) ]]; then
		skip "$current" "no time left, of $budget s"
	elif provide_root "$current"; then
		limit=0
		if [[ -n $budget ]]; then
			limit=$((budget > SECONDS ? budget - SECONDS : 1))
		fi
		run_suite "$current" "$limit"
	fi
done
finish_all
