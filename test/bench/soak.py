"""A long run against the HTTP endpoint: soak.py PORT SOCKET_FOLDER MINUTES

Three processes are clients of every kind, each act chosen at random with a seed: all paths asked for as a probe does; as many
requests in one piece as a connection takes, all answers read, or none; half requests that are left; headers too long, bytes
that are no HTTP, methods that aren't answered; clients that go before their answer comes. A fourth one holds dozens of
connections that send a byte now and then. A fifth connects to the server under names of random bytes, runs a statement, and
leaves, or stays idle in a transaction for a while.

Once a minute it prints what the worker has in resident memory and open descriptors, how many processes it has been (it must stay
one), and what the clients have done; at the end, with all clients gone, once more. Every answer to a well-behaved client must
be complete and have a status that it may have; any that is not ends the run.
"""
import contextlib
import multiprocessing
import os
import random
import socket
import statistics
import sys
import time

import psycopg2

PATHS = ["/livez", "/readyz", "/metrics", "/api/v1/health/database", "/api/v1/health/detailed", "/api/v1/history",
         "/api/v1/history?since=3600&pool=nobody", "/api/v1/pools", "/api/v1/recommendations", "/api/v1/alerts", "/", "/nowhere"]
STATUSES = {200, 404, 503}
PAUSE = 0.01

port, folder, minutes = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
until = time.monotonic() + minutes * 60


def connect():
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0" if random.random() < 0.1 else b"\0" * 8)
    return client


def get(path, last=False):
    return ("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (path, "Connection: close\r\n" if last else "")).encode()


def read_all(client):
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def answers(text):
    """The statuses of the answers in a text, which must be whole."""
    statuses = []
    while text:
        head, separator, text = text.partition(b"\r\n\r\n")
        if not separator:
            raise ValueError("half a header: %r" % head)
        statuses.append(int(head[9:12]))
        lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        if len(text) < lengths[0]:
            raise ValueError("half an answer to %r" % head)
        text = text[lengths[0]:]
    return statuses


def behave(paths):
    with connect() as client:
        client.sendall(b"".join(get(path) for path in paths[:-1]) + get(paths[-1], last=True))
        statuses = answers(read_all(client))
    if len(statuses) != len(paths) or not STATUSES.issuperset(statuses):
        raise ValueError("%s has answers %s" % (paths, statuses))
    return len(paths)


def misbehave():
    with connect() as client:
        kind = random.randrange(7)
        if kind == 0:
            client.sendall(get("/")[:random.randrange(1, 30)])
        elif kind == 1:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * random.randrange(20000, 100000) + b"\r\n\r\n")
        elif kind == 2:
            client.sendall(random.randbytes(random.randrange(1, 4000)))
        elif kind == 3:
            client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b"y" * 5000)
        elif kind == 4:
            client.sendall(get("/metrics") * random.randrange(1, 200))
        elif kind == 5:
            client.sendall(get("/" + "".join(chr(random.randrange(33, 127)) for _ in range(random.randrange(3000)))))
        else:
            client.sendall(b"GET /\xff\xfe HTTP/1.1\r\nHost: \xe9\r\n\r\n")
        if random.random() < 0.5:
            client.settimeout(random.random() / 5)
            with contextlib.suppress(TimeoutError):
                client.recv(1000)


def be_client(seed, asked, abused, trouble):
    random.seed(seed)
    while time.monotonic() < until and not trouble.value:
        try:
            if random.random() < 0.6:
                asked.value += behave(random.choices(PATHS, k=random.choice((1, 1, 1, 12))))
            else:
                abused.value += 1
                misbehave()
        except ConnectionError:
            pass
        except (OSError, ValueError, IndexError) as error:
            print("client %d: %r" % (seed, error), flush=True)
            trouble.value = 1
        time.sleep(PAUSE)


def be_slow(trouble):
    random.seed(0)
    clients = []
    while time.monotonic() < until and not trouble.value:
        while len(clients) < 60:
            clients.append(connect())
        client = random.choice(clients)
        try:
            client.sendall(random.choice((b"G", b"\r\n", b"Host: localhost\r\n", get("/"))))
        except OSError:
            client.close()
            clients.remove(client)
        time.sleep(PAUSE)
    for client in clients:
        client.close()


def be_application(trouble):
    random.seed(0)
    idle = []
    while time.monotonic() < until and not trouble.value:
        name = bytes(random.randrange(1, 256) for _ in range(random.randrange(1, 64))).decode("latin-1")
        session = psycopg2.connect(host=folder, client_encoding="SQL_ASCII")
        session.set_client_encoding("LATIN1")
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.set_config('application_name', %s, false)", (name,))
        idle.append(session)
        if len(idle) > 20:
            idle.pop(0).close()
        time.sleep(10 * PAUSE)
    for session in idle:
        session.close()


def worker():
    with psycopg2.connect(host=folder) as session, session.cursor() as cursor:
        cursor.execute("SELECT value FROM pooldiag.self WHERE name = 'http_pid'")
        pid = int(cursor.fetchone()[0])
    session.close()
    with open("/proc/%d/status" % pid) as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return pid, resident, len(os.listdir("/proc/%d/fd" % pid))


asked = [multiprocessing.Value("q", 0) for _ in range(3)]
abused = [multiprocessing.Value("q", 0) for _ in range(3)]
trouble = multiprocessing.Value("i", 0)
pid, first_resident, first_descriptors = worker()
print("at first: %d kB resident, %d descriptors" % (first_resident, first_descriptors), flush=True)
processes = [multiprocessing.Process(target=be_client, args=(i, asked[i], abused[i], trouble)) for i in range(3)]
processes += [multiprocessing.Process(target=which, args=(trouble,)) for which in (be_slow, be_application)]
for process in processes:
    process.start()
residents = []
minute = 0
while time.monotonic() < until and not trouble.value:
    time.sleep(min(60, max(0, until - time.monotonic())))
    minute += 1
    now, resident, descriptors = worker()
    residents.append(resident)
    print("minute %3d: %6d kB resident, %3d descriptors, %s; %d requests answered, %d abuses"
          % (minute, resident, descriptors, "the same process" if now == pid else "ANOTHER PROCESS",
             sum(a.value for a in asked), sum(a.value for a in abused)), flush=True)
for process in processes:
    process.join()
gone = time.monotonic() + 60
while worker()[2] != first_descriptors and time.monotonic() < gone:
    time.sleep(0.1)
now, resident, descriptors = worker()
print("at last:  %d kB resident, %d descriptors, %s" % (resident, descriptors, "the same process" if now == pid else "ANOTHER PROCESS"))
third = max(len(residents) // 3, 1)
print("resident, median of the first third of the minutes %d kB, of the last third %d kB"
      % (statistics.median(residents[:third]), statistics.median(residents[-third:])))
sys.exit(trouble.value or descriptors != first_descriptors or now != pid)
