# shellcheck shell=bash
# lib.sh: what the scripts beside it share. They source it; it changes nothing by itself.
#
# Servers never run in, or read from, the system's installation or the checkout: PostgreSQL is
# relocatable, so each run has a copy of it, with pooldiag installed there, in a folder of its own.

set -euo pipefail
umask 022

# The PostgreSQL that set-up installs.
pg_major=15

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# Nothing of the caller's connection settings or locale may reach a test or the demo, and a make
# that is started from here is not a part of the one that started this script.
for v in ${!PG@}; do
	[[ $v == PG_* ]] || unset "$v"
done
unset MAKEFLAGS MFLAGS MAKELEVEL LANGUAGE "${!LC_@}"
# LANG as well, since pg_regress heeds nothing else.
export LANG=C.UTF-8 LC_ALL=C.UTF-8

say() { printf 'pooldiag: %s\n' "$*"; }
die() {
	printf 'pooldiag: %s\n' "$*" >&2
	exit 1
}

# PostgreSQL refuses to run as root: then its programs run as postgres, else as the caller.
# shellcheck disable=SC2034 # used by the scripts
server_user=()
if [[ $EUID -eq 0 ]]; then
	server_user=(setpriv --reuid=postgres --regid=postgres --init-groups --
		env HOME=/nonexistent USER=postgres LOGNAME=postgres)
fi

have() { command -v "$1" >/dev/null 2>&1; }

# Is this the system on which setup.sh installs what is missing?
is_debian() (
	[[ -z ${PG_CONFIG-} && -r /etc/os-release ]] || return 1
	# shellcheck source=/dev/null
	. /etc/os-release
	[[ ${ID-} == debian && ${VERSION_ID-} == 12 ]] && have apt-get && have dpkg-query
)

# Where PostgreSQL is. Debian's pg_config on the PATH may speak of another version than ours.
find_pg_config() {
	if [[ -n ${PG_CONFIG-} ]]; then
		command -v "$PG_CONFIG"
	elif [[ -x /usr/lib/postgresql/$pg_major/bin/pg_config ]]; then
		echo "/usr/lib/postgresql/$pg_major/bin/pg_config"
	else
		command -v pg_config
	fi
}

# The Python that has the Debian packages, or whichever there is.
find_python() {
	if [[ -x /usr/bin/python3 ]]; then
		echo /usr/bin/python3
	else
		command -v python3
	fi
}

# What came out, for the scripts that test: the last line that they write is their total.
passed=0
failed=0
skipped=0
print_total() {
	printf '%d passed, %d failed' "$passed" "$failed"
	if [[ $skipped -gt 0 ]]; then
		printf ', %d skipped' "$skipped"
	fi
	printf '\n'
}

# Runs a command that ends with a total, and adds that to ours in place of showing it. A command that
# fails, or ends without a total, is a failure; one that could only skip what it had to do is none.
add_total_of() {
	local rc=0 out total before=$failed
	out=$(mktemp)
	"$@" 2>&1 | tee "$out" | grep --line-buffered -vxE '[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?' || rc=${PIPESTATUS[0]}
	total=$(tail -n 1 "$out")
	rm -f "$out"
	if [[ $total =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
		skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
		if [[ ${BASH_REMATCH[1]} -eq 0 && ${BASH_REMATCH[4]:-0} -gt 0 ]]; then
			rc=0
		fi
	else
		rc=1
	fi
	if [[ $rc -ne 0 && $failed -eq $before ]]; then
		printf 'not ok %s (status %d)\n' "$*" "$rc"
		failed=$((failed + 1))
	fi
}

# Where it is built: in the checkout, or in a copy of it.
tree=$root

# make there, against the PostgreSQL that find_pg_config found.
make_here() { make -C "$tree" -s --no-print-directory PG_CONFIG="$PG_CONFIG" with_llvm=no "$@"; }

# Build products belong to one run at a time: locked COMMAND ...
locked() {
	mkdir -p "$tree/build"
	(
		flock 9
		"$@" 9>&-
	) 9>"$tree/build/.lock"
}

# Everything of the checkout that is not a product, in the new folder $1.
copy_checkout() {
	mkdir "$1"
	tar -C "$root" --exclude=./.git --exclude=./build --exclude=./demo --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
		--exclude=__pycache__ -cf - . | tar -C "$1" --no-same-owner -xf -
}

# Can the server's user run programs in the folder $1?
usable() {
	local ok=0
	printf '#!/bin/sh\n' >"$1/probe" && chmod 755 "$1/probe"
	"${server_user[@]}" "$1/probe" 2>/dev/null || ok=1
	rm -f "$1/probe"
	return $ok
}

# A fresh folder for a run of kind $1. Its path is short, since a socket's path has to fit in 107 bytes.
new_run_dir() {
	local base dir
	for base in "${TMPDIR-}" /tmp /var/tmp; do
		[[ $base == /* && ${#base} -le 40 && -d $base && -w $base ]] || continue
		dir=$(mktemp -d "$base/pooldiag-$1.XXXXXX") || continue
		chmod 755 "$dir"
		if usable "$dir"; then
			echo "$dir"
			return
		fi
		rmdir "$dir"
	done
	die "no folder for temporary files in which programs may run; name one with TMPDIR"
}

# Prepares the folder $1 for a run: pg/ is a copy of PostgreSQL, var/ belongs to the server's user.
# Sets bin, pkglib, share and libraries, for libpq, to places in the copy.
private_pg() {
	local dir=$1 from_bin from_lib from_share from_libraries
	from_bin=$("$PG_CONFIG" --bindir)
	from_lib=$("$PG_CONFIG" --pkglibdir)
	from_share=$("$PG_CONFIG" --sharedir)
	bin=$dir/pg$from_bin
	pkglib=$dir/pg$from_lib
	share=$dir/pg$from_share

	mkdir -p "$bin" "$pkglib" "$share" "$dir/var"
	# By name: elsewhere than on Debian the folder may be /usr/bin.
	cp -a "$from_bin"/{postgres,initdb,psql,pgbench,pg_*,create*,drop*,vacuum*} "$bin"
	cp -a "$from_lib/." "$pkglib"
	cp -a "$from_share/." "$share"
	from_libraries=$("$PG_CONFIG" --libdir)
	libraries=$dir/pg$from_libraries
	if compgen -G "$from_libraries/libpq.so*" >/dev/null; then
		mkdir -p "$libraries"
		cp -a "$from_libraries"/libpq.so* "$libraries"
	fi
	rm -f "$share"/extension/pooldiag* "$pkglib"/pooldiag*
	if [[ $EUID -eq 0 ]]; then
		chown postgres: "$dir/var"
	fi
	chmod 700 "$dir/var"
	[[ $("$bin/pg_config" --pkglibdir) == "$pkglib" ]] ||
		die "this PostgreSQL is not relocatable: $("$bin/pg_config" --pkglibdir) is not $pkglib"
}

# Builds, and installs into the copy in the folder $1.
private_install() { make_here all && make_here install DESTDIR="$1/pg" >"$1/install.log"; }

# Stops, at once, every server that still runs below the folder $1.
stop_servers() {
	local pidfile
	[[ -d $1/var ]] || return 0
	find "$1/var" -name postmaster.pid -type f 2>/dev/null | while IFS= read -r pidfile; do
		"${server_user[@]}" "$bin/pg_ctl" -D "$(dirname "$pidfile")" -m immediate -t 20 stop >/dev/null 2>&1 || true
	done
}

# In a server's log: one of its processes has ended as none should.
# shellcheck disable=SC2034 # used by the scripts
crash_marks='^TRAP:|PANIC|terminated by signal|abnormal database system shutdown'

# Reads what pg_regress or a program like it has written to the file $1; writes "NAME ok" or "NAME failed".
# Up to PostgreSQL 15 its lines are "test NAME ... ok 12 ms", without the first word in a group of tests, and
# from 16 on "ok 1 - NAME 12 ms", with "+" in a group.
regress_results() {
	awk '
		$1 == "test" { sub(/^test +/, "") }
		$2 == "..." { print $1, $3 == "ok" ? "ok" : "failed" }
		$1 == "ok" && $3 ~ /^[-+]$/ { print $4, "ok" }
		$1 == "not" && $2 == "ok" && $4 ~ /^[-+]$/ { print $5, "failed" }' "$1"
}
