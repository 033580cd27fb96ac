# SPDX-License-Identifier: Apache-2.0
#
# Programs that tests run. They stand alone: nothing of penstock is linked.

check_PROGRAMS += %reldir%/coproc
%canon_reldir%_coproc_LDADD =

# A libnanomsg client for load.
check_PROGRAMS += %reldir%/spload
%canon_reldir%_spload_LDADD = $(LIBNANOMSG_LIBS)
