#!/usr/bin/env bash
# overhead.sh: throughput of read-only pgbench, prepared, over two connections, with pooldiag or a peer preloaded, as a
# share of the bare server's: ROUNDS rounds, in each of which every server has one second, in rotating order. pooldiag
# has everything on, and ten samples a second. The servers are up all the time; nobody but pgbench asks them anything.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_variants
# A second bare server: how far its ratio is from one tells what the others' mean.
"${server_user[@]}" cp -a "$RUN/var/bare" "$RUN/var/bare_again"
configure_cluster "$RUN/var/bare_again" "unix_socket_directories = '$RUN/var/bare_again'"
variants+=(bare_again)
for name in "${variants[@]}"; do
	"${server_user[@]}" "$BIN/pg_ctl" -D "$RUN/var/$name" -l "$RUN/var/$name.log" -w start >/dev/null
done
say "load average $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, $("$BIN/postgres" --version)"
"$python" "$bench/overhead.py" "$BIN/pgbench" "$RUN/var" "${ROUNDS:-40}" "${variants[@]}"
