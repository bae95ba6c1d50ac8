#!/usr/bin/env bash
# instructions.sh: how many instructions a backend executes for a statement, bare and with pooldiag or a peer
# preloaded, counted by valgrind's callgrind. What a client runs is the same for all.
#
# Two sessions that differ only in how often they run the statement are counted from their beginning to their end;
# the difference of the two counts, divided by how many statements one has run more, is what one takes: login, first
# plans and empty caches are in both. What the kernel does is not counted; nor is time: a read of the clock is few
# instructions and some 25 ns.
#
# KEEP=FOLDER leaves callgrind's files there.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

few=500
many=${STATEMENTS:-3000}

command -v valgrind >/dev/null || die "this bench needs valgrind"
make_variants
"${server_user[@]}" mkdir "$RUN/var/counts"

cat >"$RUN/select.sql" <<-'END'
	\set aid random(1, 100000)
	SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
END
cat >"$RUN/block.sql" <<-'END'
	\set aid random(1, 100000)
	BEGIN;
	SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
	COMMIT;
END

# Runs a script that many times over one connection, and sets count. pgbench opens another connection before, over
# which it runs nothing here: what this one has counted, the postmaster's past that each inherits included, is taken off.
session() {
	local name=$1 script=$2 protocol=$3 times=$4 counts
	if ! "$BIN/pgbench" -n -M "$protocol" -t "$times" --random-seed=1 -f "$RUN/$script.sql" >"$RUN/pgbench.log" 2>&1; then
		cat "$RUN/pgbench.log" >&2
		die "pgbench failed"
	fi
	for _ in {1..200}; do
		counts=$(sed -n 's/^totals: //p' "$RUN"/var/counts/* 2>/dev/null | sort -n)
		[[ $counts != *$'\n'* ]] || break
		sleep 0.1
	done
	[[ $counts =~ ^([0-9]+)$'\n'([0-9]+)$ ]] || die "two sessions should have been counted, and these were: $counts"
	count=$((BASH_REMATCH[2] - BASH_REMATCH[1]))
	if [[ -n ${KEEP-} ]]; then
		mkdir -p "$KEEP/$name.$script.$protocol.$times"
		cp "$RUN"/var/counts/* "$KEEP/$name.$script.$protocol.$times"
	fi
	rm -f "$RUN"/var/counts/*
}

# name, script and protocol of what is measured
series="
prepared|select|prepared
simple|select|simple
block|block|prepared
"
declare -A instructions
for name in "${variants[@]}"; do
	"${server_user[@]}" valgrind --tool=callgrind --quiet --log-file=/dev/null --callgrind-out-file="$RUN/var/counts/%p" \
		"$BIN/postgres" -D "$RUN/var/$name" >"$RUN/server.log" 2>&1 &
	server=$!
	export PGHOST=$RUN/var/$name
	for _ in {1..600}; do
		"$BIN/pg_isready" -q && break
		kill -0 "$server" 2>/dev/null || { cat "$RUN/server.log" >&2; die "no server under valgrind"; }
		sleep 0.1
	done
	# Pages, catalogs and hint bits; and what has been started for the start.
	"$BIN/pgbench" -n -S -M prepared -t 500 >/dev/null 2>&1
	sleep 1
	rm -f "$RUN"/var/counts/*
	while IFS='|' read -r label script protocol; do
		[[ -n $label ]] || continue
		session "$name" "$script" "$protocol" "$few"
		before=$count
		session "$name" "$script" "$protocol" "$many"
		instructions[$name.$label]=$(((count - before) / (many - few)))
	done <<<"$series"
	"${server_user[@]}" "$BIN/pg_ctl" -D "$RUN/var/$name" -m fast -w stop >/dev/null
	wait "$server" || true
done

printf '%-20s %24s %24s %24s\n' '' 'prepared SELECT' 'simple SELECT' 'BEGIN, SELECT, COMMIT'
for name in "${variants[@]}"; do
	printf '%-20s' "$name"
	for label in prepared simple block; do
		awk -v n="${instructions[$name.$label]}" -v bare="${instructions[bare.$label]}" \
			'BEGIN { printf " %12d (%+7.2f %%)", n, (n / bare - 1) * 100 }'
	done
	printf '\n'
done
