"""Throughput while something of pooldiag's hangs: hanging.py PGBENCH FOLDER ROUNDS

The server listens in FOLDER. In turn (ratios.py says how) nothing hangs; a canary that waits for a synchronous standby
is stopped by SIGSTOP, so that it heeds nobody; the worker of operations is; the keeper, which writes files, is. Beside
throughput it says how many samples the sampler has taken in such a second, at the least, and how long an alert took
that was raised in it, until a session sees it.
"""
import os
import signal
import sys
import time

import psycopg2

import ratios

pgbench, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
eye = psycopg2.connect(host=folder, application_name="hanging")
eye.autocommit = True
cursor = eye.cursor()
ticks, alert_ms = {}, {}


def value(query):
    cursor.execute(query)
    row = cursor.fetchone()
    return row and row[0]


def configure(**settings):
    for name, setting in settings.items():
        cursor.execute("ALTER SYSTEM SET %s = '%s'" % (name, setting))
    cursor.execute("SELECT pg_reload_conf()")


def wait_for(query):
    """What the query returns, when that is something; polled for 30 s at the most."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = value(query)
        if found:
            return int(found)
        time.sleep(0.01)
    sys.exit("waited for too long: %s" % query)


def canary():
    return wait_for("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pooldiag canary' AND wait_event = 'SyncRep'")


def worker(name):
    return wait_for("SELECT value FROM pooldiag.self WHERE name = '%s_pid'" % name)


def measure(name):
    if name == "canary":
        configure(synchronous_standby_names="gone")
        pid = canary()
    else:
        pid = worker(name) if name != "nothing" else 0
    if pid:
        os.kill(pid, signal.SIGSTOP)
    before, began = value("SELECT value FROM pooldiag.self WHERE name = 'ticks'"), time.monotonic()
    result = ratios.throughput(pgbench, folder)
    sampled = (value("SELECT value FROM pooldiag.self WHERE name = 'ticks'") - before) / (time.monotonic() - began)
    ticks[name] = min(sampled, ticks.get(name, sampled))
    began = time.monotonic()
    raised = value("SELECT coalesce(max(id), 0) FROM pooldiag.alerts")
    cursor.execute("SELECT pooldiag.breaker_force_open('errors')")
    if value("SELECT max(id) FROM pooldiag.alerts") != raised + 1:
        sys.exit("%s: an alert was not raised" % name)
    alert_ms[name] = max((time.monotonic() - began) * 1e3, alert_ms.get(name, 0))
    cursor.execute("SELECT pooldiag.breaker_reset('errors')")
    if pid:
        os.kill(pid, signal.SIGCONT)
    if name == "canary":
        configure(synchronous_standby_names="")
        wait_for("SELECT (NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d))::int" % pid)
    return result


names = ["nothing", "canary", "operations", "keeper"]
ratios.report(ratios.in_turn(names, rounds, measure), names, "transactions a second")
for name in names:
    print("%-20s at least %.1f samples a second; an alert in at most %.1f ms" % (name, ticks[name], alert_ms[name]))
