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

noinst_PROGRAMS += %reldir%/courier %reldir%/echo %reldir%/prodcons %reldir%/squares %reldir%/worker
%canon_reldir%_courier_SOURCES = %reldir%/courier.c $(example_common)
%canon_reldir%_courier_CPPFLAGS = $(example_cppflags)
%canon_reldir%_courier_LDADD = libpenstock.la
%canon_reldir%_echo_SOURCES = %reldir%/echo.c $(example_common)
%canon_reldir%_echo_CPPFLAGS = $(example_cppflags)
%canon_reldir%_echo_LDADD = libpenstock.la $(EVENT_LIBS)
%canon_reldir%_prodcons_SOURCES = %reldir%/prodcons.c $(example_common)
%canon_reldir%_prodcons_CPPFLAGS = $(example_cppflags)
%canon_reldir%_prodcons_LDADD = libpenstock.la
%canon_reldir%_squares_SOURCES = %reldir%/squares.c $(example_common)
%canon_reldir%_squares_CPPFLAGS = $(example_cppflags)
%canon_reldir%_squares_LDADD = libpenstock.la
%canon_reldir%_worker_SOURCES = %reldir%/worker.c $(example_common)
%canon_reldir%_worker_CPPFLAGS = $(example_cppflags)
%canon_reldir%_worker_LDADD = libpenstock.la

if HAVE_LIBXML2
noinst_PROGRAMS += %reldir%/news
%canon_reldir%_news_SOURCES = \
	%reldir%/news.c %reldir%/news_site.c %reldir%/news_site.h $(example_common)
%canon_reldir%_news_CPPFLAGS = $(example_cppflags) $(LIBXML2_CFLAGS)
%canon_reldir%_news_LDADD = libpenstock.la $(EVENT_LIBS) $(LIBXML2_LIBS)
endif
