# SPDX-License-Identifier: Apache-2.0
#
# Programs that tests run. Clients stand alone: nothing of penstock is linked.

check_PROGRAMS += %reldir%/coproc
%canon_reldir%_coproc_LDADD =

# A libnanomsg client for load.
check_PROGRAMS += %reldir%/spload
%canon_reldir%_spload_LDADD = $(LIBNANOMSG_LIBS)

# A durable queue's folder, made without a daemon.
check_PROGRAMS += %reldir%/mkstore

# Clients as others write them, over each library.
check_PROGRAMS += %reldir%/sp_client_nn
%canon_reldir%_sp_client_nn_SOURCES = \
	%reldir%/sp_client.c %reldir%/sp_client.h %reldir%/sp_client_nn.c
%canon_reldir%_sp_client_nn_LDADD = $(LIBNANOMSG_LIBS)
if HAVE_NNG
check_PROGRAMS += %reldir%/sp_client_nng
endif
%canon_reldir%_sp_client_nng_SOURCES = \
	%reldir%/sp_client.c %reldir%/sp_client.h %reldir%/sp_client_nng.c
%canon_reldir%_sp_client_nng_LDADD = $(NNG_LIBS)

# A peer that makes no sense, for as long as one likes.
check_PROGRAMS += %reldir%/sp_fuzz
%canon_reldir%_sp_fuzz_LDADD =
