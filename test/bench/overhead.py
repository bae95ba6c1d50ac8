"""Compares servers by throughput, in turn: overhead.py PGBENCH FOLDER ROUNDS NAME ...

Each server listens in FOLDER/NAME; the first one is what the others are compared with. A round gives each of them
one second, and the order rotates from round to round, forwards and backwards by turns so that nobody always follows
the same one: what else the machine does falls upon all of them.
Of each the ratio to the first one counts, within the round; what is printed is the median of these ratios, with its
95 % confidence interval from order statistics: between the k-th least and the k-th greatest of n lies the median of
what they are drawn from with a probability of 1 - 2 P(B < k), where B is binomial with n tries of probability one
half, since each falls below that median with this probability. No assumption is made of their distribution.
(W. J. Conover, Practical Nonparametric Statistics, "The quantile test"; H. A. David and H. N. Nagaraja, Order
Statistics, "Distribution-free confidence intervals for quantiles".)
"""
import math
import os
import re
import statistics
import subprocess
import sys

CLIENTS = 2
CONFIDENCE = 0.95


def throughput(name):
    """Transactions a second in one second, connecting not included."""
    run = subprocess.run(
        [pgbench, "-h", os.path.join(folder, name), "-n", "-S", "-M", "prepared", "-c", str(CLIENTS), "-T", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )
    found = re.search(r"^tps = ([0-9.]+)", run.stdout, re.MULTILINE)
    if run.returncode != 0 or found is None:
        sys.exit("pgbench could not measure %s:\n%s" % (name, run.stderr))
    return float(found.group(1))


def interval(values):
    """The least and the greatest median that these values leave likely; of too few, their range."""
    values = sorted(values)
    n = len(values)
    k, below = 0, 0.0
    while k < n // 2:
        below += math.comb(n, k) / 2.0**n
        if 2 * below > 1 - CONFIDENCE:
            break
        k += 1
    k = max(k, 1)
    return values[k - 1], values[n - k]


pgbench, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
names = sys.argv[4:]
if rounds < 1 or len(names) < 2:
    sys.exit("usage: overhead.py PGBENCH FOLDER ROUNDS NAME NAME ...")
results = {name: [] for name in names}
for name in names:
    throughput(name)  # what is read for the first time
for round_number in range(rounds):
    turn = round_number // 2 % len(names)
    order = names[turn:] + names[:turn]
    for name in order if round_number % 2 == 0 else reversed(order):
        results[name].append(throughput(name))

bare = results[names[0]]
print("%-20s %8.0f transactions a second" % (names[0], statistics.median(bare)))
for name in names[1:]:
    ratios = [one / other for one, other in zip(results[name], bare)]
    low, high = interval(ratios)
    print("%-20s %8.0f, ratio %.3f (95 %% interval %.3f to %.3f, %d rounds)"
          % (name, statistics.median(results[name]), statistics.median(ratios), low, high, rounds))
