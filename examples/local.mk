# SPDX-License-Identifier: Apache-2.0

examplesdir = $(docdir)/examples
dist_examples_DATA = \
	%reldir%/answers.yaml \
	%reldir%/squares.yaml \
	%reldir%/stanzas.yaml
dist_examples_SCRIPTS = \
	%reldir%/demo \
	%reldir%/stanza-worker

# Programs that use the library, built with nothing of ours but its public headers, and not installed.
example_cppflags = \
	-I$(top_builddir)/include -I$(top_srcdir)/include $(HARDENING_CPPFLAGS) $(INSTRUMENT_CPPFLAGS)
example_common = %reldir%/common.c %reldir%/common.h

noinst_PROGRAMS += %reldir%/prodcons
%canon_reldir%_prodcons_SOURCES = %reldir%/prodcons.c $(example_common)
%canon_reldir%_prodcons_CPPFLAGS = $(example_cppflags)
%canon_reldir%_prodcons_LDADD = libpenstock.la
