#!/usr/bin/env bash
# instructions.sh: how many instructions a backend executes for a statement, bare and with pooldiag or a peer
# preloaded, counted by valgrind's callgrind. What a client runs is the same for all.
#
# Two sessions that differ only in how often they run the statement are counted from their beginning to their end;
# the difference of the two counts, divided by how many statements one has run more, is what one takes: login, first
# plans and empty caches are in both. What the kernel does is not counted; nor is time: a read of the clock is few
# instructions and some 25 ns.
#
# Two things would move the count by some parts in a thousand. Whether a backend finds the next message when it looks,
# or has to wait for it, depends on the client's pace: here it always waits, since the client pauses before each
# statement. And string functions take more instructions where a string happens to lie at the end of a page: so each
# count is the median over servers (LAYOUTS of them) with a setting of different lengths, which moves what is
# allocated after it.
#
# KEEP=FOLDER leaves callgrind's files of the last layout there, and shows the counts of each.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

few=100
many=${STATEMENTS:-600}
layouts=${LAYOUTS:-3}

command -v valgrind >/dev/null || die "this bench needs valgrind"
make_variants
"${server_user[@]}" mkdir "$RUN/var/counts"

cat >"$RUN/select.sql" <<-'END'
	\set aid random(1, 100000)
	\sleep 2 ms
	SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
END
cat >"$RUN/block.sql" <<-'END'
	\set aid random(1, 100000)
	\sleep 2 ms
	BEGIN;
	\sleep 2 ms
	SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
	\sleep 2 ms
	COMMIT;
END

# Runs a script that many times over one connection, and sets count. pgbench opens another connection before, over
# which it runs nothing here: what this one has counted, the postmaster's past that each inherits included, is taken off.
# The log tells which processes these were: there are others, which come and go.
session() {
	local name=$1 script=$2 protocol=$3 times=$4 logged pids pid counts
	logged=$(wc -l <"$RUN/server.log")
	if ! "$BIN/pgbench" -n -M "$protocol" -t "$times" --random-seed=1 -f "$RUN/$script.sql" >"$RUN/pgbench.log" 2>&1; then
		cat "$RUN/pgbench.log" >&2
		die "pgbench failed"
	fi
	pids=$(tail -n +$((logged + 1)) "$RUN/server.log" |
		sed -n 's/.*\[\([0-9]*\)\] LOG:  connection authorized: .* application_name=pgbench.*/\1/p')
	for _ in {1..200}; do
		counts=$(for pid in $pids; do sed -n 's/^totals: //p' "$RUN/var/counts/$pid" 2>/dev/null || true; done | sort -n)
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

# a name, a script and a protocol of each kind of statement that is measured
series="
prepared|select|prepared
simple|select|simple
block|block|prepared
"
# Starts the server of $1 under callgrind, with memory laid out in way $2.
start_counted_server() {
	local padding
	padding=$(printf '%0*d' $(($2 * 832)) 0)
	"${server_user[@]}" valgrind --tool=callgrind --quiet --log-file=/dev/null --callgrind-out-file="$RUN/var/counts/%p" \
		"$BIN/postgres" -D "$RUN/var/$1" -c bench.padding="$padding" -c log_connections=on \
		-c log_destination=stderr -c logging_collector=off >"$RUN/server.log" 2>&1 &
	server=$!
	export PGHOST=$RUN/var/$1
	for _ in {1..600}; do
		if "$BIN/pg_isready" -q; then
			# Pages, catalogs and hint bits; and what was started for the start.
			"$BIN/pgbench" -n -S -M prepared -t 500 >/dev/null 2>&1
			sleep 1
			rm -f "$RUN"/var/counts/*
			return
		fi
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	cat "$RUN/server.log" >&2
	die "no server under valgrind"
}

declare -A counts
for name in "${variants[@]}"; do
	for ((layout = 1; layout <= layouts; layout++)); do
		start_counted_server "$name" "$layout"
		while IFS='|' read -r label script protocol; do
			[[ -n $label ]] || continue
			session "$name" "$script" "$protocol" "$few"
			before=$count
			session "$name" "$script" "$protocol" "$many"
			counts[$name.$label]+="$(((count - before) / (many - few))) "
		done <<<"$series"
		"${server_user[@]}" "$BIN/pg_ctl" -D "$RUN/var/$name" -m fast -w stop >/dev/null
		wait "$server" || true
	done
done
declare -A instructions
for key in "${!counts[@]}"; do
	[[ -z ${KEEP-} ]] || say "$key: ${counts[$key]}"
	instructions[$key]=$(tr ' ' '\n' <<<"${counts[$key]% }" | sort -n | sed -n "$(((layouts + 1) / 2))p")
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
