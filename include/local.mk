# SPDX-License-Identifier: Apache-2.0
#
# The public headers, installed as <penstock/...>.

nodist_pkginclude_HEADERS += %reldir%/penstock/version.h
pkginclude_HEADERS += \
	%reldir%/penstock/client.h \
	%reldir%/penstock/deadline.h \
	%reldir%/penstock/err.def \
	%reldir%/penstock/error.h \
	%reldir%/penstock/future.h \
	%reldir%/penstock/group.h \
	%reldir%/penstock/histogram.h \
	%reldir%/penstock/libevent.h \
	%reldir%/penstock/isopool.h \
	%reldir%/penstock/loop.h \
	%reldir%/penstock/loopgroup.h \
	%reldir%/penstock/pool.h \
	%reldir%/penstock/queue.h \
	%reldir%/penstock/time.h \
	%reldir%/penstock/watch.h
