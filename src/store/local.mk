# SPDX-License-Identifier: Apache-2.0

libparts_la_SOURCES += \
	%reldir%/chores.c \
	%reldir%/commit.c \
	%reldir%/format.c %reldir%/format.h \
	%reldir%/frame.c %reldir%/frame.h \
	%reldir%/index.c %reldir%/index.h \
	%reldir%/inside.h \
	%reldir%/read.c \
	%reldir%/recover.c \
	%reldir%/scan.c %reldir%/scan.h \
	%reldir%/segment.c %reldir%/segment.h \
	%reldir%/store.c %reldir%/store.h
