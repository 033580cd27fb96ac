# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/buf.c %reldir%/buf.h \
	%reldir%/check.c %reldir%/check.h \
	%reldir%/count.h \
	%reldir%/crc32c.c %reldir%/crc32c.h \
	%reldir%/err.c %reldir%/err.h \
	%reldir%/hash.c %reldir%/hash.h \
	%reldir%/heap.c %reldir%/heap.h \
	%reldir%/histogram.c %reldir%/histogram.h \
	%reldir%/limits.h \
	%reldir%/list.h \
	%reldir%/roles.h \
	%reldir%/route.h \
	%reldir%/slice.c %reldir%/slice.h \
	%reldir%/str.c %reldir%/str.h \
	%reldir%/units.c %reldir%/units.h \
	%reldir%/version.c
