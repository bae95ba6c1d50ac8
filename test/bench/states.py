"""Times the states report against the guide's query, in turn: states.py PGBENCH FOLDER ROUNDS

Each round runs three prepared statements over one connection, in rotating order: an empty one, which is the
round trip, the view connection_states, and the query on pg_stat_activity that it stands in for. Of each the
median latency of the round counts, less the round trip's; what is printed are medians over the rounds, and
the median of the rounds' ratios with its quartiles.
"""
import glob
import os
import statistics
import subprocess
import sys

pgbench, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
STATEMENTS = {
    "round trip": ("SELECT 1", 2000),
    "connection_states": ("SELECT * FROM pooldiag.connection_states", 1000),
    "pg_stat_activity": ("SELECT state, count(*) FROM pg_stat_activity GROUP BY state", 150),
}


def latency(name):
    """The median latency of one statement in this round, in microseconds."""
    script = os.path.join(folder, "statement.sql")
    with open(script, "w") as file:
        file.write(STATEMENTS[name][0] + ";\n")
    prefix = os.path.join(folder, "latency")
    subprocess.run(
        [pgbench, "-n", "-M", "prepared", "-t", str(STATEMENTS[name][1]), "-f", script, "-l", "--log-prefix", prefix],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    times = []
    for log in glob.glob(prefix + ".*"):
        with open(log) as file:
            times += [int(line.split()[2]) for line in file]
        os.remove(log)
    return statistics.median(times)


names = list(STATEMENTS)
results = {name: [] for name in names}
ratios = []
for round_number in range(rounds):
    turn = round_number % len(names)
    for name in names[turn:] + names[:turn]:
        results[name].append(latency(name))
    trip = results["round trip"][-1]
    report = max(results["connection_states"][-1] - trip, 1)
    ratios.append((results["pg_stat_activity"][-1] - trip) / report)

for name in names:
    print("%-18s %8.0f us a statement" % (name, statistics.median(results[name])))
quartiles = statistics.quantiles(ratios, n=4)
print("ratio, round trip taken off: %.0f (quartiles %.0f to %.0f, %d rounds)"
      % (statistics.median(ratios), quartiles[0], quartiles[2], rounds))
