# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/futex.c %reldir%/futex.h \
	%reldir%/lock.c %reldir%/lock.h %reldir%/locks.def \
	%reldir%/ring.c %reldir%/ring.h \
	%reldir%/vigil.c %reldir%/vigil.h \
	%reldir%/waiters.c %reldir%/waiters.h
