# SPDX-License-Identifier: Apache-2.0
#
# Benchmarks: add a program's name to bench_programs. "make bench" runs them.


bench_programs += %reldir%/handoff %reldir%/held %reldir%/jobs %reldir%/queue
%canon_reldir%_handoff_SOURCES = %reldir%/handoff.c %reldir%/kit.h
%canon_reldir%_handoff_LDADD = $(LDADD) -lm
%canon_reldir%_queue_SOURCES = \
	%reldir%/kit.h \
	%reldir%/queue.c \
	%reldir%/queue_run.c \
	%reldir%/queue_run.h

bench_programs += %reldir%/store
%canon_reldir%_store_SOURCES = %reldir%/kit.h %reldir%/store.c
%canon_reldir%_store_LDADD = $(LDADD) $(LMDB_LIBS)

bench_programs += %reldir%/isopool
%canon_reldir%_isopool_SOURCES = %reldir%/isopool.c %reldir%/kit.h

# Other people's brokers, which peers runs beside ours; it builds their clients for itself where it can. What it needs of
# ours is built with the tests: bare, the native transport by itself.
check_PROGRAMS += %reldir%/bare
EXTRA_DIST += \
	%reldir%/brokers/beanstalk.c \
	%reldir%/brokers/load.c \
	%reldir%/brokers/load.h \
	%reldir%/brokers/mosquitto.c \
	%reldir%/brokers/nanomsg.c \
	%reldir%/brokers/native.c \
	%reldir%/brokers/nats.c \
	%reldir%/brokers/nng.c \
	%reldir%/brokers/redis.c \
	%reldir%/brokers/wire.h \
	%reldir%/brokers/workers.c \
	%reldir%/brokers/zmq.c \
	%reldir%/growth \
	%reldir%/idle \
	%reldir%/peers \
	%reldir%/tables.py

# Other people's queues, which queue-peers builds for itself where it can.
EXTRA_DIST += \
	%reldir%/queues/boost.cc \
	%reldir%/queues/chan.go \
	%reldir%/queues/ck.c \
	%reldir%/queues/glib.c \
	%reldir%/queues/moodycamel.cc \
	%reldir%/queues/parked.h \
	%reldir%/queues/rte.c \
	%reldir%/queues/sync_channel.rs \
	%reldir%/queue-peers

# Scripts that run the programs of examples/ against each other. "make bench" runs them, too.
bench_scripts = %reldir%/squares %reldir%/news %reldir%/echo

# What a job costs that is held.
bench_scripts += %reldir%/held
dist_check_SCRIPTS += $(bench_scripts)

# What tests/bench/peers builds for itself.
CLEANFILES += %reldir%/brokers/load-*
