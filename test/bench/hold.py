"""Holds connections for a bench: hold.py COUNT BUSY

Opens COUNT connections of 20 applications, each of which has run one ordinary statement and is idle. Then
says "up", and keeps BUSY of them at work, one short statement after the other in turn, so that each of these
has done something since the tick before. Ends when its standard input does.
"""
import select
import sys

import psycopg2

STATEMENT = (
    "SELECT c.relname, n.nspname, c.reltuples FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 1259"
)

count, busy = int(sys.argv[1]), int(sys.argv[2])
cursors = []
for i in range(count):
    connection = psycopg2.connect(application_name="application %d" % (i % 20))
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(STATEMENT)
    cursors.append(cursor)
print("up", flush=True)
# All of the busy ones once in a fifth of a second, the interval between two ticks.
pause = 0.2 / max(busy, 1) / 2
turn = 0
while not select.select([sys.stdin], [], [], pause if busy else None)[0]:
    cursors[turn % busy].execute("SELECT 1")
    turn += 1
