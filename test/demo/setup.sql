-- setup.sql: the demo's roles and data; run by a superuser in the database demo.

CREATE ROLE shop LOGIN;
CREATE ROLE jobs LOGIN;
CREATE ROLE reporting LOGIN;

-- Whoever is on call sees everything and may end sessions, and needs no superuser for it.
CREATE ROLE oncall LOGIN IN ROLE pg_monitor, pg_signal_backend;

CREATE EXTENSION pooldiag;

-- pgbench makes its tables as the role that uses them.
GRANT CREATE ON SCHEMA public TO jobs;

CREATE TABLE stock (item int PRIMARY KEY, price numeric NOT NULL, sold int NOT NULL DEFAULT 0);
INSERT INTO stock SELECT i, 1 + i % 90 FROM generate_series(1, 1000) i;
GRANT SELECT, UPDATE ON stock TO shop;
