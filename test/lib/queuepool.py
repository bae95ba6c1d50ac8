#!/usr/bin/env python3
"""An application's connection pools, worked from outside.

Says that it is there, then reads commands as JSON, one a line, and answers each with a line of JSON, so
that whoever works it knows when a step is done:

    {"do": "create", "pool": NAME, "url": URL, "application_name": ..., "size": N, "max_overflow": N}
    {"do": "take", "pool": NAME}     takes a connection and begins a transaction in it
    {"do": "borrow", "pool": NAME}   takes a connection and does nothing with it
    {"do": "give", "pool": NAME}     gives the connection back that was taken last
    {"do": "dispose", "pool": NAME}  closes what is idle in the pool

An answer holds the pool's own figures, the pid of the session behind the connection that was taken or
given, and "error" where there is one.
"""
import json
import sys

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

engines = {}
taken = {}


def pid_of(connection):
    return connection.connection.dbapi_connection.info.backend_pid


def run(command):
    name = command["pool"]
    if command["do"] == "create":
        engines[name] = create_engine(
            command["url"],
            poolclass=QueuePool,
            pool_size=command["size"],
            max_overflow=command["max_overflow"],
            pool_timeout=0,
            connect_args={"application_name": command["application_name"]},
        )
        taken[name] = []
        return {}
    if command["do"] == "dispose":
        engines[name].dispose()
        return {}
    if command["do"] == "give":
        connection = taken[name].pop()
        pid = pid_of(connection)
        connection.close()
        return {"pid": pid}
    connection = engines[name].connect()
    taken[name].append(connection)
    if command["do"] == "take":
        connection.begin()
        connection.execute(text("SELECT 1"))
    return {"pid": pid_of(connection)}


print(json.dumps({}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    try:
        answer = run(command)
    except SQLAlchemyError as error:
        answer = {"error": str(error)}
    pool = engines[command["pool"]].pool
    answer.update(
        size=pool.size(),
        checked_out=pool.checkedout(),
        checked_in=pool.checkedin(),
        overflow=pool.overflow(),
    )
    print(json.dumps(answer), flush=True)
