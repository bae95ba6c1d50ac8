#!/usr/bin/env python3
"""An application with a connection pool and the habits that fill one.

    app.py URL

A QueuePool of 20 + 30 connections to the database URL, named "web" to the server. Most threads do as
they should. The others leak connections, hold a row lock while they wait for something else, and run
slow reports. Every two seconds it writes what its own pool says about itself.
"""
import random
import sys
import threading
import time

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

WORKERS = 12
SLOW = 3
LEAKS_AT_START = 4
LEAKS_AT_MOST = 10
SECONDS_PER_LEAK = 45

leaked = []


def make_engine(url):
    return create_engine(
        url,
        poolclass=QueuePool,
        pool_size=20,
        max_overflow=30,
        pool_timeout=30,
        pool_recycle=3600,
        pool_pre_ping=True,
        connect_args={"application_name": "web"},
    )


def repeat(action, engine, pause):
    """Runs the action for ever; an error costs a second, as a client that retries would do."""
    while True:
        try:
            action(engine)
            time.sleep(pause * random.uniform(0.5, 1.5))
        except SQLAlchemyError as error:
            print(f"{action.__name__}: {str(error).splitlines()[0]}", flush=True)
            time.sleep(1)


def place_order(engine):
    """What most requests do: a short transaction, then the connection goes back."""
    with engine.begin() as connection:
        item = random.randint(100, 999)
        connection.execute(text("SELECT price FROM stock WHERE item = :item"), {"item": item})
        connection.execute(text("UPDATE stock SET sold = sold + 1 WHERE item = :item"), {"item": item})


def open_basket(engine):
    """Leaks: reads inside a transaction and forgets connection and transaction."""
    connection = engine.connect()
    connection.begin()
    connection.execute(text("SELECT /* basket */ item, price FROM stock WHERE item = :item"), {"item": len(leaked)})
    leaked.append(connection)


def reserve_item(engine):
    """Leaks worse: it holds a row lock that others need, as if it waited for a payment service."""
    connection = engine.connect()
    connection.begin()
    connection.execute(text("UPDATE /* reserve */ stock SET sold = sold + 1 WHERE item = 7"))
    leaked.append(connection)


def restock_two(engine):
    """Locks one row and then wants the reserved one: whoever wants its row waits in the second rank."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE stock SET sold = 0 WHERE item = 8"))
        connection.execute(text("UPDATE /* restock */ stock SET sold = 0 WHERE item = 7"))


def buy_reserved(engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE /* buy 7 */ stock SET sold = sold + 1 WHERE item = 7"))


def buy_restocked(engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE /* buy 8 */ stock SET sold = sold + 1 WHERE item = 8"))


def monthly_report(engine):
    with engine.begin() as connection:
        connection.execute(text("SELECT /* monthly report */ sum(price * sold), pg_sleep(25) FROM stock"))


def start(action, engine, pause, count=1):
    for _ in range(count):
        threading.Thread(target=repeat, args=(action, engine, pause), daemon=True).start()


def connect_at_once(engine, count):
    """The morning's rush: that many connections out at the same time."""
    connections = [engine.connect() for _ in range(count)]
    for connection in connections:
        connection.close()


def main():
    engine = make_engine(sys.argv[1])
    reserve_item(engine)
    for _ in range(LEAKS_AT_START):
        open_basket(engine)
    start(monthly_report, engine, 1, SLOW)
    start(restock_two, engine, 1)
    time.sleep(0.5)
    start(buy_reserved, engine, 1, 2)
    start(buy_restocked, engine, 1)
    time.sleep(0.5)
    connect_at_once(engine, WORKERS)
    start(place_order, engine, 0.1, WORKERS)

    next_leak = time.monotonic() + SECONDS_PER_LEAK
    while True:
        pool = engine.pool
        print(
            f"size {pool.size()}, checked out {pool.checkedout()}, overflow {max(0, pool.overflow())}",
            flush=True,
        )
        time.sleep(2)
        if time.monotonic() >= next_leak and len(leaked) < LEAKS_AT_MOST:
            next_leak += SECONDS_PER_LEAK
            try:
                open_basket(engine)
            except SQLAlchemyError as error:
                print(f"open_basket: {str(error).splitlines()[0]}", flush=True)


if __name__ == "__main__":
    main()
