\echo Use "CREATE EXTENSION pooldiag" to load this file. \quit
