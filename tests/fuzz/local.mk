# SPDX-License-Identifier: Apache-2.0
#
# One fuzz target for each decoder. With --enable-fuzz it is a libFuzzer program; without, it is
# linked with a plain main. Either way "make check" replays its seeds, corpus/NAME/*. To add one:
#
#   fuzz_targets += %reldir%/NAME.fuzz
#   %canon_reldir%_NAME_fuzz_SOURCES = %reldir%/NAME.c $(fuzz_main)
#   %canon_reldir%_NAME_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

fuzz_targets =

if ENABLE_FUZZ
fuzz_main =
else
fuzz_main = %reldir%/main.c
endif

fuzz_targets += %reldir%/fuzz_conf.fuzz
%canon_reldir%_fuzz_conf_fuzz_SOURCES = %reldir%/fuzz_conf.c $(fuzz_main)
%canon_reldir%_fuzz_conf_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

fuzz_targets += %reldir%/fuzz_worker_proto.fuzz
%canon_reldir%_fuzz_worker_proto_fuzz_SOURCES = %reldir%/fuzz_worker_proto.c $(fuzz_main)
%canon_reldir%_fuzz_worker_proto_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

fuzz_targets += %reldir%/fuzz_json.fuzz
%canon_reldir%_fuzz_json_fuzz_SOURCES = %reldir%/fuzz_json.c $(fuzz_main)
%canon_reldir%_fuzz_json_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

fuzz_targets += %reldir%/fuzz_sp.fuzz
%canon_reldir%_fuzz_sp_fuzz_SOURCES = %reldir%/fuzz_sp.c $(fuzz_main)
%canon_reldir%_fuzz_sp_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

fuzz_targets += %reldir%/fuzz_batch.fuzz
%canon_reldir%_fuzz_batch_fuzz_SOURCES = %reldir%/fuzz_batch.c $(fuzz_main)
%canon_reldir%_fuzz_batch_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

fuzz_targets += %reldir%/fuzz_worker.fuzz
%canon_reldir%_fuzz_worker_fuzz_SOURCES = %reldir%/fuzz_worker.c $(fuzz_main)
%canon_reldir%_fuzz_worker_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

fuzz_targets += %reldir%/fuzz_store.fuzz
%canon_reldir%_fuzz_store_fuzz_SOURCES = \
	%reldir%/fuzz_store.c tests/sim/vfs_sim.c tests/sim/vfs_sim.h $(fuzz_main)
%canon_reldir%_fuzz_store_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

fuzz_targets += %reldir%/fuzz_replay.fuzz
%canon_reldir%_fuzz_replay_fuzz_SOURCES = %reldir%/fuzz_replay.c $(fuzz_main)
%canon_reldir%_fuzz_replay_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

check_PROGRAMS += $(fuzz_targets)
TESTS += $(fuzz_targets)
TEST_EXTENSIONS += .fuzz
FUZZ_LOG_COMPILER = $(SHELL) $(top_srcdir)/%reldir%/replay

EXTRA_DIST += %reldir%/main.c %reldir%/replay %reldir%/corpus
