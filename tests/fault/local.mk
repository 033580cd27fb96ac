# SPDX-License-Identifier: Apache-2.0
#
# Programs that fail the Nth call for every N: add a program's name to fault_tests.

fault_tests =
memory_sources = %reldir%/memory.c %reldir%/memory.h
memory_ldflags = $(AM_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray \
	-Wl,--wrap=aligned_alloc,--wrap=strdup,--wrap=strndup

fault_tests += %reldir%/alloc
%canon_reldir%_alloc_SOURCES = %reldir%/alloc.c $(memory_sources)
%canon_reldir%_alloc_LDFLAGS = $(memory_ldflags)

fault_tests += %reldir%/broker_alloc
%canon_reldir%_broker_alloc_SOURCES = %reldir%/broker_alloc.c $(memory_sources)
%canon_reldir%_broker_alloc_LDFLAGS = $(memory_ldflags)

fault_tests += %reldir%/store_fault
%canon_reldir%_store_fault_SOURCES = %reldir%/store_fault.c tests/sim/vfs_sim.c tests/sim/vfs_sim.h

check_PROGRAMS += $(fault_tests)
TESTS += $(fault_tests)
