# SPDX-License-Identifier: Apache-2.0
#
# Benchmarks: add a program's name to bench_programs. "make bench" runs them.


bench_programs += %reldir%/handoff %reldir%/jobs %reldir%/queue
%canon_reldir%_handoff_SOURCES = %reldir%/handoff.c %reldir%/kit.h
%canon_reldir%_handoff_LDADD = $(LDADD) -lm
%canon_reldir%_queue_SOURCES = \
	%reldir%/kit.h \
	%reldir%/queue.c \
	%reldir%/queue_run.c \
	%reldir%/queue_run.h

bench_programs += %reldir%/isopool
%canon_reldir%_isopool_SOURCES = %reldir%/isopool.c %reldir%/kit.h

# Other people's queues, which queue-peers builds for itself where it can.
EXTRA_DIST += \
	%reldir%/peers/boost.cc \
	%reldir%/peers/chan.go \
	%reldir%/peers/ck.c \
	%reldir%/peers/glib.c \
	%reldir%/peers/moodycamel.cc \
	%reldir%/peers/parked.h \
	%reldir%/peers/rte.c \
	%reldir%/peers/sync_channel.rs \
	%reldir%/queue-peers

# Scripts that run the programs of examples/ against each other. "make bench" runs them, too.
bench_scripts = %reldir%/squares %reldir%/news %reldir%/echo
dist_check_SCRIPTS += $(bench_scripts)
