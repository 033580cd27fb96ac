# SPDX-License-Identifier: Apache-2.0
#
# The unit, and what makes its user and folders. Paths go in here and not in configure, because
# $(prefix) can still be changed on make's command line.

unit_files = %reldir%/penstockd.service %reldir%/tmpfiles.d/penstock.conf
unit_sources = %reldir%/penstockd.service.in %reldir%/tmpfiles.d/penstock.conf.in

if INSTALL_UNITS
systemdsystemunit_DATA = %reldir%/penstockd.service
sysusersdir = $(prefix)/lib/sysusers.d
sysusers_DATA = %reldir%/sysusers.d/penstock.conf
tmpfilesdir = $(prefix)/lib/tmpfiles.d
nodist_tmpfiles_DATA = %reldir%/tmpfiles.d/penstock.conf
unitexamplesdir = $(docdir)/systemd
dist_unitexamples_DATA = \
	%reldir%/examples/ipc-only.conf \
	%reldir%/examples/jit-handlers.conf \
	%reldir%/examples/remote-tcp.conf
endif

noinst_DATA = $(unit_files)
CLEANFILES += $(unit_files)
EXTRA_DIST += $(unit_sources) %reldir%/sysusers.d/penstock.conf %reldir%/examples

fill_in_paths = $(SED) \
	-e 's|@sbindir[@]|$(sbindir)|g' \
	-e 's|@bindir[@]|$(bindir)|g' \
	-e 's|@libdir[@]|$(libdir)|g' \
	-e 's|@docdir[@]|$(docdir)|g' \
	-e 's|@sysconfdir[@]|$(sysconfdir)|g'

$(unit_files): Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(fill_in_paths) $(top_srcdir)/$@.in >$@.tmp && mv $@.tmp $@
%reldir%/penstockd.service: %reldir%/penstockd.service.in
%reldir%/tmpfiles.d/penstock.conf: %reldir%/tmpfiles.d/penstock.conf.in
