"""The HTTP endpoint, measured: endpoint.py WHEN PORT SECONDS [SOCKET_FOLDER]

A client asks for each path in turn, on a new connection each time as a probe does, with a pause of 5 ms in between, and notes
how long the answer took from connecting to its last byte. Prints the percentiles of each path.

WHEN "full" takes every connection slot of the server in SOCKET_FOLDER before, and has two processes try to connect as fast
as they are refused; it prints how many were refused a second. "redo" ends when the server is ready. Anything else is only
what the figures are called.
"""
import http.client
import multiprocessing
import os
import socket
import struct
import sys
import time

import psycopg2

PATHS = ["/livez", "/readyz", "/metrics", "/api/v1/health/database", "/api/v1/health/detailed", "/"]

when, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
folder = sys.argv[4] if when == "full" else None


def knock(until, count):
    """Connects and is refused, again and again. A start-up packet of protocol 3.0, and whatever comes back."""
    names = b"user\0postgres\0database\0postgres\0\0"
    packet = struct.pack("!ii", len(names) + 8, 3 << 16) + names
    refused = 0
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(os.path.join(folder, ".s.PGSQL.5432"))
            client.sendall(packet)
            answer = client.recv(4096)
            refused += b"C53300\0" in answer
            if not answer.startswith(b"E"):
                break
    count.value = refused


def ask(path):
    """How long an answer took, in milliseconds, and its status."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return (time.monotonic() - began) * 1e3, answer.status


def percentile(values, p):
    return sorted(values)[min(int(len(values) * p), len(values) - 1)]


def take_all():
    """Connections, as many as there is room for."""
    held = []
    try:
        while True:
            held.append(psycopg2.connect(host=folder))
    except psycopg2.OperationalError:
        return held


held = take_all() if when == "full" else []
times = {path: [] for path in PATHS}
statuses = {path: set() for path in PATHS}
began = time.monotonic()
until = began + seconds
counts = [multiprocessing.Value("q", 0) for _ in range(2 if when == "full" else 0)]
knockers = [multiprocessing.Process(target=knock, args=(until, count)) for count in counts]
for knocker in knockers:
    knocker.start()
while time.monotonic() < until and not (when == "redo" and 200 in statuses["/readyz"]):
    for path in PATHS:
        took, status = ask(path)
        times[path].append(took)
        statuses[path].add(status)
        time.sleep(0.005)
took = time.monotonic() - began
for knocker in knockers:
    knocker.join()
print("%s: %.0f s%s" % (when, took, ", %d connections held, %.0f refused a second" % (len(held), sum(c.value for c in counts) / seconds)
                        if held else ""))
for path in PATHS:
    print("  %-26s %s, %5d requests: median %5.2f, p95 %5.2f, p99 %5.2f, longest %6.2f ms"
          % (path, ",".join(map(str, sorted(statuses[path]))), len(times[path]), percentile(times[path], 0.5),
             percentile(times[path], 0.95), percentile(times[path], 0.99), max(times[path])))
everything = [took for path in PATHS for took in times[path]]
print("  %-26s p99 %.2f ms" % ("all", percentile(everything, 0.99)))
