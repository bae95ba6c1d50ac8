"""Throughput beside a scraper: scraper.py PGBENCH FOLDER PORT ROUNDS

In turn (ratios.py says how) nobody asks for metrics, or somebody does once a second, as Prometheus might: in the middle
of the second in which pgbench is measured.
"""
import sys
import threading
import urllib.request

import ratios

pgbench, folder, port, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def scrape():
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=30) as answer:
        answer.read()


def measure(name):
    timer = threading.Timer(0.5, scrape) if name == "scraper" else None
    if timer:
        timer.start()
    result = ratios.throughput(pgbench, folder)
    if timer:
        timer.join()
    return result


names = ["nobody", "scraper"]
ratios.report(ratios.in_turn(names, rounds, measure), names, "transactions a second")
