#!/usr/bin/env bash
# setup.sh PROFILE: makes sure that the programs and libraries that a profile (below) names are there.
#
# On Debian 12 it says what is missing and installs it with apt-get; elsewhere, or with PG_CONFIG
# naming a PostgreSQL of your own, it says what is missing and stops. Silent when nothing is.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

profile=${1:-build}
case $profile in
	build | test | demo | ci | matrix | server | valgrind | coverage | bench | web) ;;
	*) die "usage: setup.sh build|test|demo|ci|matrix|server|valgrind|coverage|bench|web" ;;
esac

# profiles | Debian package | how to see elsewhere that it is there | what for
needs="
build test demo ci | gcc                           | have_compiler        | the C compiler
build test demo ci | libc6-dev                     | have_header stdio.h  | the C library's headers
build test demo ci | make                          | have make            | the build
build test demo ci | postgresql-server-dev-$pg_major | have_pgxs            | PostgreSQL's headers and build files
build test demo ci | libkrb5-dev                   | have_gssapi          | gssapi/gssapi.h, which PostgreSQL's headers include
build test demo ci | libmicrohttpd-dev             | have_header stdint.h microhttpd.h | HTTP
test demo ci       | postgresql-$pg_major              | have_server          | the PostgreSQL server, to run private copies of it
test demo ci       | postgresql-client-$pg_major       | have_client          | psql, pgbench, pg_regress, isolationtester
test ci            | perl                          | have prove           | TAP tests
test ci            | libipc-run-perl               | have_perl IPC::Run   | TAP tests
test ci            | clang                         | not_needed           | fuzzers; the same
test ci            | libclang-rt-14-dev            | not_needed           | fuzzers; the same
test ci            | libcmocka-dev                 | have_header stdarg.h setjmp.h cmocka.h | unit tests
test demo ci       | python3                       | have_python sys      | an application with a connection pool
test demo ci       | python3-psycopg2              | have_python psycopg2 | an application with a connection pool
test demo ci       | python3-sqlalchemy            | have_python sqlalchemy | an application with a connection pool
test ci            | prometheus                    | not_needed           | promtool, which checks metrics, and monitoring/, run for real; tests go without it elsewhere
test ci            | haproxy                       | not_needed           | the routing of monitoring/, run for real; the same
test ci            | python3-prometheus-client     | not_needed           | reads metrics; the same
ci                 | clang-format                  | have clang-format    | the format check
ci                 | cppcheck                      | have cppcheck        | static analysis
ci                 | clang-tidy                    | have clang-tidy      | static analysis
ci                 | clang-tools                   | have scan-build      | static analysis
ci                 | shellcheck                    | have shellcheck      | static analysis of the scripts
matrix             | mmdebstrap                    | have mmdebstrap      | root folders with other versions of PostgreSQL
server             | gcc                           | have_compiler        | the C compiler
server             | libc6-dev                     | have_header stdio.h  | the C library's headers
server             | make                          | have make            | PostgreSQL from its source
server             | bison                         | have bison           | PostgreSQL from its source
server             | flex                          | have flex            | PostgreSQL from its source
server             | perl                          | have perl            | PostgreSQL from its source
server             | bzip2                         | have bzip2           | PostgreSQL from its source
server             | pkgconf                       | have pkg-config      | PostgreSQL from its source
server             | libreadline-dev               | have_header stdio.h readline/readline.h | PostgreSQL from its source
server             | zlib1g-dev                    | have_header zlib.h   | PostgreSQL from its source
server             | libipc-run-perl               | have_perl IPC::Run   | PostgreSQL's TAP modules
server             | valgrind                      | have_header valgrind/memcheck.h | a server that tells it of its memory
valgrind ci        | valgrind                      | have valgrind        | memory errors, as they happen
bench              | valgrind                      | have valgrind        | how many instructions a statement takes
bench              | postgresql-$pg_major-pg-wait-sampling | have_library pg_wait_sampling | an extension to compare with
bench              | postgresql-$pg_major              | have_library pg_stat_statements | an extension to compare with
bench              | apache2-utils                 | have ab              | load on the HTTP endpoint
bench              | wrk                           | have wrk             | load on the HTTP endpoint
bench              | prometheus-postgres-exporter  | have prometheus-postgres-exporter | an exporter to compare with
web ci             | chromium                      | have chromium        | the status page's test, in a browser
web ci             | chromium-driver               | have chromedriver    | the status page's test, in a browser
web ci             | python3-selenium              | have_python selenium | the status page's test, in a browser
web                | python3-psycopg2              | have_python psycopg2 | the status page's test, in a browser
coverage ci        | gcovr                         | have gcovr           | which lines the tests run
"

# How to see that something is there, without a package manager.
have_compiler() { have gcc || have cc; }
have_header() { printf '#include <%s>\n' "$@" | "$(command -v gcc || command -v cc)" -E -x c - >/dev/null 2>&1; }
have_perl() { perl -M"$1" -e 1 2>/dev/null; }
have_python() { "$(find_python)" -c "import $1" 2>/dev/null; }
not_needed() { :; }
pg() { "$(find_pg_config)" "--$1" 2>/dev/null; }
have_pgxs() { [[ -f $(pg pgxs) && -f $(pg includedir-server)/postgres.h ]]; }
have_gssapi() { [[ $(pg configure) != *--with-gssapi* ]] || have_header gssapi/gssapi.h; }
have_server() { [[ -x $(pg bindir)/postgres && -x $(pg bindir)/initdb ]]; }
have_library() { [[ -f $(pg pkglibdir)/$1.so ]]; }
have_client() { [[ -x $(pg bindir)/pgbench && -x $(pg pkglibdir)/pgxs/src/test/isolation/pg_isolation_regress ]]; }

# Lines of "package | check | what for" for this profile.
wanted() {
	local profiles package check why
	while IFS='|' read -r profiles package check why; do
		[[ " $profiles" == *" $profile "* ]] || continue
		printf '%s|%s|%s\n' "${package// /}" "$check" "${why# }"
	done <<<"$needs"
}

# Reads lines of wanted, writes those whose package is not installed.
not_installed() {
	local lines installed package rest
	lines=$(cat)
	# dpkg-query fails when it doesn't know one of the names; what it says of the others counts.
	# shellcheck disable=SC2046 # one word a package
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $(cut -d'|' -f1 <<<"$lines") 2>/dev/null |
		sed -n 's/ installed$//p') || true
	while IFS='|' read -r package rest; do
		[[ $'\n'$installed$'\n' == *$'\n'$package$'\n'* ]] || printf '%s|%s\n' "$package" "$rest"
	done <<<"$lines"
}

# Reads lines of wanted, writes those whose check fails.
not_found() {
	local package check why
	while IFS='|' read -r package check why; do
		# shellcheck disable=SC2086 # the check's words
		$check </dev/null || printf '%s|%s|%s\n' "$package" "$check" "$why"
	done
}

# Says, of lines of wanted, what is missing and what it is for.
list() {
	local package check why
	while IFS='|' read -r package check why; do
		printf '  %-26s %s\n' "$package" "$why"
	done
}

# Runs a command as root.
as_root() {
	if [[ $EUID -eq 0 ]]; then
		"$@"
	else
		sudo "$@"
	fi
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
		-o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@" </dev/null || die "apt-get could not install: $*"
}

# The server's package makes and starts a cluster of its own when it is first installed. None is
# wanted here, so its maintainer script is told so, for the time of the installation only.
no_cluster=
created_folder=
forbid_cluster() {
	local folder=/etc/postgresql-common/createcluster.d
	no_cluster=$folder/zz-pooldiag-setup.conf
	if [[ ! -d $folder ]]; then
		created_folder=$folder
		as_root mkdir "$folder"
	fi
	printf 'create_main_cluster = off\n' | as_root tee "$no_cluster" >/dev/null
	[[ $(pg_conftool /etc/postgresql-common/createcluster.conf show -bs create_main_cluster 2>/dev/null) == off ]] ||
		die "installing postgresql-$pg_major would bring a new cluster into being and start it; set create_main_cluster = off" \
			"in /etc/postgresql-common/createcluster.conf, or install postgresql-$pg_major yourself, and start again"
}

# Some packages bring a service, which would be started, and again whenever the machine is. Only their programs are wanted:
# while they are installed there is a policy-rc.d that denies them a start, and leaves all else to the one that was there.
services="prometheus prometheus-postgres-exporter haproxy"
policy=/usr/sbin/policy-rc.d
policy_before=$policy.before-pooldiag
no_services=
forbid_services() {
	no_services=1
	# One of ours may have been left there by a run that was killed. An empty one says that there was none.
	if [[ ! -e $policy_before ]]; then
		if [[ -e $policy ]]; then
			as_root cp -a "$policy" "$policy_before"
		else
			as_root touch "$policy_before"
		fi
	fi
	as_root tee "$policy.new" >/dev/null <<-EOF
		#!/bin/sh
		# There while pooldiag's scripts/setup.sh installs packages.
		for word; do
			for service in $services; do
				case \$word in "\$service" | "\$service.service") exit 101 ;; esac
			done
		done
		[ ! -x $policy_before ] || exec $policy_before "\$@"
	EOF
	as_root chmod 755 "$policy.new"
	as_root mv "$policy.new" "$policy"
}
allow_services() {
	if [[ -s $policy_before ]]; then
		as_root mv "$policy_before" "$policy"
	else
		as_root rm -f "$policy" "$policy_before"
	fi
}
keep_services_off() {
	local service
	for service in "$@"; do
		as_root update-rc.d "$service" disable >/dev/null 2>&1 || say "the service $service may be started with the machine"
	done
}

# Takes back what was there for the time of the installation only.
allow_all() {
	if [[ -n $no_cluster ]]; then
		as_root rm -f "$no_cluster"
	fi
	if [[ -n $created_folder ]]; then
		as_root rmdir --ignore-fail-on-non-empty "$created_folder"
	fi
	if [[ -n $no_services ]]; then
		allow_services
	fi
}

if is_debian; then
	missing=$(wanted | not_installed)
	if [[ -n $missing ]]; then
		mapfile -t packages < <(cut -d'|' -f1 <<<"$missing")
		say "not installed, and needed here:"
		list <<<"$missing"
		if [[ $EUID -ne 0 ]] && ! { have sudo && sudo -v; }; then
			die "have root install them: apt-get install --no-install-recommends ${packages[*]}"
		fi
		say "installing them with apt-get"
		as_root apt-get update -q </dev/null || say "apt-get update failed; going on with the lists that are there"
		trap allow_all EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM HUP
		# A cluster would come with the server only; its own settings exist once postgresql-common does.
		if [[ " ${packages[*]} " == *" postgresql-$pg_major "* ]]; then
			if [[ $(dpkg-query -W -f '${db:Status-Status}' postgresql-common 2>/dev/null || true) != installed ]]; then
				apt_install postgresql-common
			fi
			forbid_cluster
		fi
		mapfile -t unwanted < <(printf '%s\n' "${packages[@]}" | grep -xF "${services// /$'\n'}" || true)
		if [[ ${#unwanted[@]} -gt 0 ]]; then
			forbid_services
		fi
		apt_install "${packages[@]}"
		keep_services_off "${unwanted[@]}"
		say "installed"
	fi
else
	missing=$(wanted | not_found)
	if [[ -n $missing ]]; then
		say "not found, and needed here (with their names on Debian 12):" >&2
		list <<<"$missing" >&2
		die "install them and start again; PG_CONFIG=/path/to/pg_config says which PostgreSQL to use (15 or newer)"
	fi
fi

if [[ " test demo ci " == *" $profile "* && $EUID -eq 0 ]] && ! id -u postgres >/dev/null 2>&1; then
	die "PostgreSQL does not run as root, and there is no user postgres: start again as an ordinary user"
fi
