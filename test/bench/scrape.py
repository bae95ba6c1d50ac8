"""What a scrape takes, in turn: scrape.py ROUNDS NAME=PORT ...

Scrapes http://127.0.0.1:PORT/metrics with the request that Prometheus sends: over a connection that stays, if the server lets
it, else over a new one, which is part of the scrape; compressed where the server does that, as it is asked to. Of each round a NAME's figure is the median of some scrapes, to the
last byte; the first NAME is what the others are compared with (ratios.py says how). What of it is the client's is little: it
takes bytes from a socket.
"""
import re
import socket
import statistics
import sys
import time
import urllib.request

import ratios

SCRAPES = 9
REQUEST = (
    b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"User-Agent: Prometheus/2.42.0\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n"
    b"Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    b"text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n\r\n"
)

rounds = int(sys.argv[1])
ports = {name: int(port) for name, port in (argument.split("=") for argument in sys.argv[2:])}
connections = {}
buffer = bytearray(1 << 22)


def scrape(name):
    """How many microseconds it takes."""
    length = end = head = 0
    began = time.perf_counter()
    if name not in connections:
        connections[name] = socket.create_connection(("127.0.0.1", ports[name]), timeout=30)
    connection = connections[name]
    connection.sendall(REQUEST)
    while not end or length < end:
        got = connection.recv_into(memoryview(buffer)[length:])
        if not got:
            raise OSError("closed")
        length += got
        if not head:
            head = buffer.find(b"\r\n\r\n", 0, length) + 4
            head = head if head >= 4 else 0
            if head:
                sized = re.search(rb"\r\nContent-Length: (\d+)", buffer[:head], re.IGNORECASE)
                if sized:
                    end = head + int(sized.group(1))
        # Else it comes in chunks, the last of which is empty.
        if not end and buffer[length - 5:length] == b"0\r\n\r\n":
            break
    took = (time.perf_counter() - began) * 1e6
    if re.search(rb"\r\nConnection: close\r", buffer[:head], re.IGNORECASE):
        connections.pop(name).close()
    if buffer[9:12] != b"200":
        sys.exit("%s answers: %r" % (name, bytes(buffer[:200])))
    return took


def measure(name):
    return statistics.median(scrape(name) for _ in range(SCRAPES))


def wait_for(name):
    """Until it answers; 30 s at the most."""
    until = time.monotonic() + 30
    while True:
        try:
            scrape(name)
            return
        except OSError:
            connections.pop(name, None)
            if time.monotonic() > until:
                sys.exit("%s does not answer" % name)
            time.sleep(0.1)


names = list(ports)
for name in names:
    wait_for(name)
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % ports[name]) as answer:
        text = answer.read()
    print("%-20s %8d samples" % (name, sum(not line.startswith(b"#") for line in text.splitlines())))
    measure(name)  # what is done for the first time
ratios.report(ratios.in_turn(names, rounds, measure), names, "us a scrape")
