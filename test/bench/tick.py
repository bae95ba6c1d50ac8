"""Reads what a number of ticks cost, one by one: tick.py TICKS. Prints their median and 95th percentile."""
import statistics
import sys
import time

import psycopg2

connection = psycopg2.connect(application_name="bench")
connection.autocommit = True
cursor = connection.cursor()


def figures():
    cursor.execute("SELECT name, value FROM pooldiag.self WHERE name IN ('ticks', 'tick_cpu_last')")
    found = dict(cursor.fetchall())
    return found["ticks"], found["tick_cpu_last"]


costs = []
seen, _ = figures()
while len(costs) < int(sys.argv[1]):
    time.sleep(0.02)
    ticks, cost = figures()
    if ticks != seen:
        costs.append(cost)
        seen = ticks
costs.sort()
print("median %6.0f us, 95th percentile %6.0f us of CPU"
      % (statistics.median(costs), costs[int(len(costs) * 0.95)]))
