# SPDX-License-Identifier: Apache-2.0
#
# Benchmarks: add a program's name to bench_programs. "make bench" runs them.


bench_programs += %reldir%/handoff %reldir%/jobs %reldir%/queue
%canon_reldir%_handoff_SOURCES = %reldir%/handoff.c %reldir%/kit.h
%canon_reldir%_handoff_LDADD = $(LDADD) -lm
%canon_reldir%_queue_SOURCES = %reldir%/queue.c %reldir%/kit.h

# Scripts that run the programs of examples/ against each other. "make bench" runs them, too.
bench_scripts = %reldir%/squares %reldir%/news %reldir%/echo
dist_check_SCRIPTS += $(bench_scripts)
