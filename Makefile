# pooldiag: PGXS build, plus the commands of a checkout (make test, make demo).

MODULE_big = pooldiag
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PGFILEDESC = "pooldiag - connection pool diagnostics"

EXTENSION = pooldiag
DATA = src/sql/pooldiag--0.1.sql

PG_CPPFLAGS = -I$(srcdir)/src
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
