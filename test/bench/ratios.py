"""Compares things by a figure, in turn, for benches.

A round measures each of them once, and the order rotates from round to round, forwards and backwards by turns so that
nobody always follows the same one: what else the machine does falls upon all of them. Of each the ratio to the first
one counts, within the round; what is printed is the median of these ratios, with its 95 % confidence interval from
order statistics: between the k-th least and the k-th greatest of n lies the median of what they are drawn from with a
probability of 1 - 2 P(B < k), where B is binomial with n tries of probability one half, since each falls below that
median with this probability. No assumption is made of their distribution.
(W. J. Conover, Practical Nonparametric Statistics, "The quantile test"; H. A. David and H. N. Nagaraja, Order
Statistics, "Distribution-free confidence intervals for quantiles".)
"""
import math
import re
import statistics
import subprocess
import sys

CLIENTS = 2
CONFIDENCE = 0.95


def throughput(pgbench, host, *options):
    """Transactions a second of read-only pgbench, prepared, in one second, connecting not included."""
    run = subprocess.run(
        [pgbench, "-h", host, "-n", "-S", "-M", "prepared", "-c", str(CLIENTS), "-T", "1", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )
    found = re.search(r"^tps = ([0-9.]+)", run.stdout, re.MULTILINE)
    if run.returncode != 0 or found is None:
        sys.exit("pgbench could not measure %s:\n%s" % (host, run.stderr))
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


def in_turn(names, rounds, measure):
    """Lists of what measure(name) has returned, one of each round, by name."""
    results = {name: [] for name in names}
    for round_number in range(rounds):
        turn = round_number // 2 % len(names)
        order = names[turn:] + names[:turn]
        for name in order if round_number % 2 == 0 else reversed(order):
            results[name].append(measure(name))
    return results


def report(results, names, unit):
    """Prints medians, and of all but the first one the ratio to that."""
    first = results[names[0]]
    print("%-20s %8.0f %s" % (names[0], statistics.median(first), unit))
    for name in names[1:]:
        ratios = [one / other for one, other in zip(results[name], first)]
        low, high = interval(ratios)
        print("%-20s %8.0f, ratio %.3f (95 %% interval %.3f to %.3f, %d rounds)"
              % (name, statistics.median(results[name]), statistics.median(ratios), low, high, len(ratios)))
