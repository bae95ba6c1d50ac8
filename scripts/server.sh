#!/usr/bin/env bash
# server.sh VERSION: sees to a PostgreSQL with assertions, which also tells valgrind of its memory, made
# from Debian's source package, and writes the folder that has it, absolute: pg/bin/pg_config and source/
# are in there. Says on standard error what it does. Status 2 where the archive is the one to blame.
#
#   SERVER_DIR=DIR   where they are kept: 0.5 GB a version (build/server)
#
# It is made once, which takes minutes, and again only when this recipe has changed; to have it made of
# a newer source package, remove the folder.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=archive.sh
. "$(dirname "${BASH_SOURCE[0]}")/archive.sh"
exec </dev/null

[[ $# -eq 1 ]] || die "usage: server.sh VERSION"
version=$1
suites_of "$version" >/dev/null

dir=${SERVER_DIR:-$root/build/server}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd -P)
made=$dir/$version
log=$dir/$version.log

# Its programs find their libraries beside themselves, since each run has a copy of them.
recipe=(--enable-cassert --enable-debug --enable-tap-tests --without-icu
	CPPFLAGS=-DUSE_VALGRIND CFLAGS='-Og -g -fno-omit-frame-pointer' "LDFLAGS=-Wl,-rpath,'\$\$ORIGIN/../lib'")

blame_archive() {
	say "PostgreSQL $version: $1" >&2
	exit 2
}

# Fetches the newest source package that the archive still has the files of, and unpacks it.
fetch() {
	local lines=() candidate
	archive_lines deb-src "$version" "$scratch/InRelease" || return 2
	mkdir -p "$scratch"/{lists/partial,cache/archives/partial}
	printf '%s\n' "${lines[@]}" >"$scratch/sources.list"
	{
		apt_settings
		printf 'Dir::Etc::sourcelist "%s"; Dir::Etc::sourceparts "/dev/null"; Dir::State::lists "%s"; Dir::Cache "%s";\n' \
			"$scratch/sources.list" "$scratch/lists" "$scratch/cache"
	} >"$scratch/apt"
	export APT_CONFIG=$scratch/apt
	if ! timeout 300 apt-get -q update; then
		echo "the archive failed meanwhile"
		return 2
	fi
	for candidate in $(apt-cache showsrc "postgresql-$version" | sed -n 's/^Version: //p' | sort -rVu); do
		rm -rf "$scratch/files"
		mkdir "$scratch/files"
		if (cd "$scratch/files" && timeout 600 apt-get -q source --download-only "postgresql-$version=$candidate"); then
			mkdir "$scratch/source"
			tar -C "$scratch/source" --strip-components=1 --no-same-owner -xf "$scratch"/files/*.orig.tar.* || return 1
			return
		fi
	done
	echo "the archive has no source package of it"
	return 2
}

# Builds and installs what fetch has unpacked. It stays where it was built: its tests are run from there.
build() {
	rm -rf "$made"
	mkdir -p "$made"
	mv "$scratch/source" "$made/source"
	cd "$made/source"
	./configure -q --prefix="$made/pg" "${recipe[@]}"
	make -s -j"$(nproc)"
	make -s install
	make -s -C src/test/isolation install
	make -s -C src/test/perl install
	recipe_sum >"$made/recipe"
}

recipe_sum() { { printf '%s\n' "${recipe[@]}" && declare -f fetch build; } | cksum; }

# Is there one that was made like this, and whose programs run?
is_made() { [[ $(cat "$made/recipe" 2>/dev/null) == "$(recipe_sum)" ]] && "$made/pg/bin/psql" --version >/dev/null 2>&1; }

exec 8>"$dir/.lock"
if ! flock -n 8; then
	say "waiting for another run in $dir" >&2
	flock -w 3600 8 || die "another run has $dir"
fi
if ! is_made; then
	scratch=$(mktemp -d)
	child=
	finish() {
		local rc=$?
		trap - EXIT
		trap '' INT TERM HUP
		if [[ -n $child ]]; then
			kill -- "-$child" 2>/dev/null || true
			wait "$child" 2>/dev/null || true
		fi
		rm -rf "$scratch"
		exit "$rc"
	}
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	env -u PG_CONFIG "$root/scripts/setup.sh" server >&2 || blame_archive "not everything that it is built with could be installed"
	say "building PostgreSQL $version with assertions, which takes some minutes (log $log)" >&2
	status=0
	fetch >"$log" 2>&1 || status=$?
	[[ $status -ne 2 ]] || blame_archive "$(tail -n 1 "$log")"
	[[ $status -eq 0 ]] || die "PostgreSQL $version: not unpacked: $(tail -n 1 "$log") (log $log)"
	# In a shell of its own, so that the first command that fails ends it, and a process group, to end all of it.
	set -m
	(build) >>"$log" 2>&1 &
	child=$!
	set +m
	wait "$child" || die "PostgreSQL $version: not built: $(tail -n 1 "$log") (log $log)"
	child=
fi
echo "$made"
