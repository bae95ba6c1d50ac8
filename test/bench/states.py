"""Times the states report against the guide's query, in turn: states.py PGBENCH FOLDER ROUNDS

Each round runs prepared statements over one connection, in rotating order. Of each the median counts, less what
SELECT 1 takes when it is sent in the same way, which takes the round trip off; what is printed are medians over
the rounds, and the median of the rounds' ratios with its quartiles.

The view takes about as long as a round trip varies by, so twenty of it go in one pipeline and share one. The
query on pg_stat_activity goes alone: a pipeline is one transaction, in which the server would make the copy
that this query costs only once.
"""
import glob
import os
import statistics
import subprocess
import sys

pgbench, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
PIPELINE = 20
VIEW = "SELECT * FROM pooldiag.connection_states"
QUERY = "SELECT state, count(*) FROM pg_stat_activity GROUP BY state"
# name: statement, how many in a pipeline (0: none), transactions a round
SERIES = {
    "SELECT 1, in a pipeline": ("SELECT 1", PIPELINE, 300),
    "connection_states, in a pipeline": (VIEW, PIPELINE, 150),
    "SELECT 1": ("SELECT 1", 0, 1000),
    "pg_stat_activity": (QUERY, 0, 100),
}


def cost(statement, pipeline, transactions):
    """What one statement takes in this round, in microseconds."""
    script = os.path.join(folder, "statement.sql")
    with open(script, "w") as file:
        if pipeline:
            file.write("\\startpipeline\n" + (statement + ";\n") * pipeline + "\\endpipeline\n")
        else:
            file.write(statement + ";\n")
    prefix = os.path.join(folder, "latency")
    subprocess.run(
        [pgbench, "-n", "-M", "prepared", "-t", str(transactions), "-f", script, "-l", "--log-prefix", prefix],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    times = []
    for log in glob.glob(prefix + ".*"):
        with open(log) as file:
            times += [int(line.split()[2]) / max(pipeline, 1) for line in file]
        os.remove(log)
    return statistics.median(times)


names = list(SERIES)
results = {name: [] for name in names}
reports, queries, ratios = [], [], []
for round_number in range(rounds):
    turn = round_number % len(names)
    for name in names[turn:] + names[:turn]:
        results[name].append(cost(*SERIES[name]))
    reports.append(results["connection_states, in a pipeline"][-1] - results["SELECT 1, in a pipeline"][-1])
    queries.append(results["pg_stat_activity"][-1] - results["SELECT 1"][-1])
    ratios.append(queries[-1] / reports[-1])

for name in names:
    print("%-34s %8.1f us a statement" % (name, statistics.median(results[name])))
print("round trip taken off: pooldiag.connection_states %.0f us, pg_stat_activity %.0f us"
      % (statistics.median(reports), statistics.median(queries)))
quartiles = statistics.quantiles(ratios, n=4)
print("ratio %.0f (quartiles %.0f to %.0f, %d rounds)"
      % (statistics.median(ratios), quartiles[0], quartiles[2], rounds))
