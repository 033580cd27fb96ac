# SPDX-License-Identifier: Apache-2.0

penstockd_SOURCES += \
	%reldir%/control.c \
	%reldir%/daemon.h \
	%reldir%/drain.c \
	%reldir%/durables.c \
	%reldir%/graph.c \
	%reldir%/main.c \
	%reldir%/needs.c \
	%reldir%/options.c %reldir%/options.h \
	%reldir%/signals.c \
	%reldir%/status.c \
	%reldir%/stalls.c \
	%reldir%/watchdog.c
