"""Compares servers by throughput, in turn: overhead.py PGBENCH FOLDER ROUNDS NAME ...

Each server listens in FOLDER/NAME; the first one is what the others are compared with (ratios.py says how).
"""
import os
import sys

import ratios

pgbench, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
names = sys.argv[4:]
if rounds < 1 or len(names) < 2:
    sys.exit("usage: overhead.py PGBENCH FOLDER ROUNDS NAME NAME ...")


def throughput(name):
    return ratios.throughput(pgbench, os.path.join(folder, name))


for name in names:
    throughput(name)  # what is read for the first time
ratios.report(ratios.in_turn(names, rounds, throughput), names, "transactions a second")
