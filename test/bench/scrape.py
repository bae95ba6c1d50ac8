"""What a scrape takes, in turn: scrape.py ROUNDS NAME=PORT ...

Scrapes http://127.0.0.1:PORT/metrics as Prometheus does, over a connection that stays, but without compression. Of each
round a NAME's figure is the median of some scrapes, from the request to the last byte; the first NAME is what the others are
compared with (ratios.py says how).
"""
import http.client
import statistics
import sys
import time

import ratios

SCRAPES = 9
HEADERS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}

rounds = int(sys.argv[1])
connections = {}
for argument in sys.argv[2:]:
    name, port = argument.split("=")
    connections[name] = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)


def scrape(name):
    """Microseconds, and what came."""
    began = time.perf_counter()
    connections[name].request("GET", "/metrics", headers=HEADERS)
    response = connections[name].getresponse()
    body = response.read()
    took = (time.perf_counter() - began) * 1e6
    if response.status != 200:
        sys.exit("%s answers with %d: %r" % (name, response.status, body[:200]))
    return took, body


def measure(name):
    return statistics.median(scrape(name)[0] for _ in range(SCRAPES))


def wait_for(name):
    """Until it answers; 30 s at the most."""
    until = time.monotonic() + 30
    while True:
        try:
            return scrape(name)[1]
        except (OSError, http.client.HTTPException):
            connections[name].close()
            if time.monotonic() > until:
                sys.exit("%s does not answer" % name)
            time.sleep(0.1)


names = list(connections)
for name in names:
    body = wait_for(name)
    samples = sum(1 for line in body.splitlines() if not line.startswith(b"#"))
    print("%-20s %8d bytes, %d samples" % (name, len(body), samples))
    measure(name)  # what is done for the first time
ratios.report(ratios.in_turn(names, rounds, measure), names, "us a scrape")
