# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/io.c %reldir%/io.h \
	%reldir%/libevent.c \
	%reldir%/loop.c %reldir%/loop.h \
	%reldir%/loopgroup.c \
	%reldir%/stats.c \
	%reldir%/watch.c
