"""Times the states report against the guide's query, in turn: states.py PGBENCH FOLDER ROUNDS

Each round runs three prepared statements over one connection, in rotating order: SELECT 1, the view
connection_states, and the query on pg_stat_activity that it stands in for. Twenty of a kind go in one
pipeline, so that a round trip, and the waking up that is in it, is shared by twenty; what is left of it is
what SELECT 1 takes, and is taken off. Of each kind the median of the round counts; what is printed are medians
over the rounds, and the median of the rounds' ratios with its quartiles.
"""
import glob
import os
import statistics
import subprocess
import sys

pgbench, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
PIPELINE = 20
STATEMENTS = {
    "SELECT 1": ("SELECT 1", 500),
    "connection_states": ("SELECT * FROM pooldiag.connection_states", 300),
    "pg_stat_activity": ("SELECT state, count(*) FROM pg_stat_activity GROUP BY state", 10),
}


def latency(name):
    """What one statement takes in this round, by the median of its pipelines, in microseconds."""
    script = os.path.join(folder, "statement.sql")
    with open(script, "w") as file:
        file.write("\\startpipeline\n" + (STATEMENTS[name][0] + ";\n") * PIPELINE + "\\endpipeline\n")
    prefix = os.path.join(folder, "latency")
    subprocess.run(
        [pgbench, "-n", "-M", "prepared", "-t", str(STATEMENTS[name][1]), "-f", script, "-l", "--log-prefix", prefix],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    times = []
    for log in glob.glob(prefix + ".*"):
        with open(log) as file:
            times += [int(line.split()[2]) / PIPELINE for line in file]
        os.remove(log)
    return statistics.median(times)


names = list(STATEMENTS)
results = {name: [] for name in names}
ratios = []
for round_number in range(rounds):
    turn = round_number % len(names)
    for name in names[turn:] + names[:turn]:
        results[name].append(latency(name))
    trip = results["SELECT 1"][-1]
    report = results["connection_states"][-1] - trip
    ratios.append((results["pg_stat_activity"][-1] - trip) / report)

for name in names:
    print("%-18s %8.1f us a statement" % (name, statistics.median(results[name])))
quartiles = statistics.quantiles(ratios, n=4)
print("ratio, round trip taken off: %.0f (quartiles %.0f to %.0f, %d rounds)"
      % (statistics.median(ratios), quartiles[0], quartiles[2], rounds))
