# pooldiag: PGXS build (make, make install, make installcheck), plus the commands of a checkout
# (make test, make demo, ...), which install what they miss and never touch the system's servers.

# Tests, in the order in which they run: sql/NAME.sql and test/specs/NAME.spec.
REGRESS = init objects refusals slow_queries settings definitions states pools health metrics report advice self history usage sessions
ISOLATION = init states slow blocking leaks recommendations

MODULE_big = pooldiag
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PGFILEDESC = "pooldiag - connection pool diagnostics"

EXTENSION = pooldiag
DATA = $(sort $(wildcard src/sql/pooldiag--*.sql))

ISOLATION_OPTS = --inputdir=test --load-extension=pooldiag
PROVE_TESTS = $(sort $(wildcard test/t/*.pl))
ifneq ($(PROVE_TESTS),)
TAP_TESTS = 1
endif

PG_CPPFLAGS = -I$(srcdir)/src -I$(srcdir)/build
SHLIB_LINK = -lmicrohttpd
# Further flags to compile and link with, in unit tests too: sanitizers, coverage.
INSTRUMENT ?=
PG_CFLAGS = $(INSTRUMENT)
PG_LDFLAGS = $(INSTRUMENT)
# Other servers, in build/matrix and build/server, stay: "rm -rf build" takes them away.
EXTRA_CLEAN = $(filter-out build/matrix build/server,$(wildcard build/*)) results tmp_check tmp_check_iso output_iso log regression.diffs regression.out

.DEFAULT_GOAL := all

# Without pg_config there is nothing to build with, but test, demo and the like work: they set up first.
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
PG_MAJOR := $(shell $(PG_CONFIG) --version 2>/dev/null | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
refusal =
ifeq ($(wildcard $(PGXS)),)
refusal = '$(PG_CONFIG) --pgxs' names no file; install PostgreSQL's server development files (postgresql-server-dev-15 on Debian 12)
else ifneq ($(filter 7 8 9 10 11 12 13 14,$(PG_MAJOR)),)
refusal = '$(PG_CONFIG)' is of PostgreSQL $(PG_MAJOR), and pooldiag needs PostgreSQL 15 or newer
endif

ifeq ($(refusal),)
include $(PGXS)
else
all install uninstall installcheck:
	@echo "pooldiag: $(refusal)" >&2
	@echo "pooldiag: say where another one is: make PG_CONFIG=/path/to/pg_config" >&2
	@false
clean:
	rm -rf $(EXTRA_CLEAN) $(MODULE_big).so $(OBJS) $(OBJS:.o=.bc)
.PHONY: all install uninstall installcheck clean
endif

# Any header may matter to any file; compiling all of them takes seconds.
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h)

# The status page, put together and without its indentation, empty lines and comments, as numbers for a C array.
PAGE = $(addprefix src/web/,page.html page.css page.js)
src/page.o src/page.bc: build/web.h
build/web.h: $(PAGE) Makefile
	@mkdir -p $(@D)
	sed -e '/@STYLE@/{' -e 'r src/web/page.css' -e 'd' -e '}' -e '/@SCRIPT@/{' -e 'r src/web/page.js' -e 'd' -e '}' \
	  src/web/page.html | sed -e 's/^[[:blank:]]*//' -e '/^$$/d' -e '/^\/\/ /d' -e '/^\/\*.*\*\/$$/d' | \
	  od -An -v -tu1 | sed -e 's/  */,/g' -e 's/^,//' -e 's/$$/,/' >$@.new
	@mv $@.new $@

# Objects made for another server, or with other flags, are made again.
MADE_FOR = $(shell $(PG_CONFIG) --version 2>/dev/null), $(CC) $(CFLAGS) $(CPPFLAGS)
$(OBJS) $(OBJS:.o=.bc): build/made-for
build/made-for: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','"'"',$(MADE_FOR))' | cmp -s - $@ || echo '$(subst ','"'"',$(MADE_FOR))' >$@
FORCE:

# A unit test is one program. Its first lines name the files of src/ that it tests: "link: a.c b.c".
UNIT_TESTS = $(patsubst test/unit/%.c,build/unit/%,$(sort $(wildcard test/unit/test_*.c)))
# cmocka 2 has other names for some of the checks, and the ones of cmocka 1 as well.
UNIT_CFLAGS = -std=gnu99 -g -O1 -Wall -Wno-deprecated-declarations

unit: $(UNIT_TESTS)
build/unit/%: test/unit/%.c $(wildcard src/*.c src/*.h test/unit/*.h)
	@mkdir -p $(@D)
	@rm -f $@
	$(CC) $(UNIT_CFLAGS) $(INSTRUMENT) $(CPPFLAGS) -Isrc -Itest/unit -o $@ $< \
	  $(addprefix src/,$(filter %.c,$(shell sed -n '1,20s/.*link:\(.*\)/\1/p' $<))) -lcmocka -lm

# A fuzzer is one program, by libFuzzer, with its own checks of what comes out. Its first lines name the files that it tests.
# Those that handle the server's strings and encodings find them in its libraries for programs.
FUZZERS = $(patsubst test/fuzz/%.c,build/fuzz/%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
FUZZ_CC = clang
# clang does not know gcc's name for the server's formats; checked copies of string functions would keep accesses from the sanitizer.
FUZZ_CFLAGS = -std=gnu11 -g -O1 -Wall -Wno-ignored-attributes -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined

fuzz: $(FUZZERS)
build/fuzz/%: test/fuzz/%.c $(wildcard src/*.c src/*.h)
	@mkdir -p $(@D)
	@rm -f $@
	$(FUZZ_CC) $(FUZZ_CFLAGS) $(CPPFLAGS) -U_FORTIFY_SOURCE -Isrc -o $@ $< \
	  $(addprefix src/,$(filter %.c,$(shell sed -n '1,20s/.*link:\(.*\)/\1/p' $<))) -L$(pkglibdir) -L$(libdir) -lpgcommon -lpgport -lm

# make test ONLY=unit|fuzz|regress|isolation|tap TESTS="NAME ..." KEEP=1
test:
	@scripts/test.sh

# make test-matrix MATRIX="17 18": the same on each supported version, in root folders below build/matrix
test-matrix:
	@scripts/matrix.sh

# The same under more eyes, on servers made from source below build/server: make test-cassert VERSIONS="15 18"
test-cassert test-sanitize test-valgrind test-core:
	@scripts/checked.sh $(patsubst test-%,%,$@)
# Which lines of src/ the tests run.
coverage:
	@UNDER=coverage scripts/test.sh

demo:
	@scripts/demo.sh start
demo-stop:
	@scripts/demo.sh stop

# make bench BENCH="NAME ..."
bench:
	@scripts/bench.sh

FORMATTED = $(sort $(wildcard src/*.c src/*.h test/unit/*.c test/unit/*.h test/fuzz/*.c))
format:
	clang-format -i $(FORMATTED)
check-format:
	clang-format --dry-run -Werror $(FORMATTED)

# Reaching a field by its offset casts from char *, which cppcheck takes for a mistake.
CPPCHECK_FLAGS = --enable=warning,performance,portability --inline-suppr --std=c99 --quiet \
  --error-exitcode=1 --suppress=missingInclude --suppress=missingIncludeSystem --suppress=invalidPointerCast \
  --include=scripts/cppcheck.h
lint-cppcheck:
	cppcheck $(CPPCHECK_FLAGS) -Isrc src

# The server's Assert is code only where it is switched on; off, its conditions are not looked at.
LINT_CPPFLAGS = -DUSE_ASSERT_CHECKING

# .clang-tidy has the checks. By name, since a file that it found but could not read would not fail.
# How many warnings the server's headers would have had goes to stderr, and is left out.
lint-tidy: build/web.h
	errors=$$(mktemp); clang-tidy --quiet --config-file=.clang-tidy $(filter %.c,$(FORMATTED)) -- -Wall -Wextra \
	  -Wno-unused-parameter $(LINT_CPPFLAGS) $(CPPFLAGS) 2>$$errors; rc=$$?; \
	  [ $$rc = 0 ] || grep -v ' generated\.$$' $$errors >&2; rm -f $$errors; exit $$rc

# In a copy, so that its objects don't mix with the build's. Beyond the default: buffers, signs, va_list.
SCAN_FLAGS = --status-bugs $(addprefix -enable-checker ,alpha.core.Conversion alpha.security.ArrayBoundV2 \
  alpha.unix.cstring.OutOfBounds valist.Uninitialized valist.Unterminated)
lint-scan:
	copy=$$(mktemp -d) && mkdir $$copy/src && cp Makefile pooldiag.control $$copy && \
	  cp -r $(filter src/%,$(FORMATTED)) src/web $$copy/src && \
	  scan-build $(SCAN_FLAGS) -o $$copy/report make -C $$copy -s -j$$(nproc) with_llvm=no \
	  COPT='$(LINT_CPPFLAGS)' all; rc=$$?; rm -rf $$copy; exit $$rc

lint-shell:
	shellcheck -x .ci/run $(sort $(wildcard scripts/*.sh test/bench/*.sh))

lint: lint-cppcheck lint-tidy lint-scan lint-shell

# For the scripts: the value of one variable.
print-%:
	@echo '$($*)'

.PHONY: FORCE unit fuzz test test-matrix test-cassert test-sanitize test-valgrind test-core coverage demo demo-stop bench \
  format check-format lint lint-cppcheck lint-tidy lint-scan lint-shell
