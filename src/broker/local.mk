# SPDX-License-Identifier: Apache-2.0

libparts_la_SOURCES += \
	%reldir%/attempt.c \
	%reldir%/inspect.c \
	%reldir%/job.c %reldir%/job.h \
	%reldir%/journal.h \
	%reldir%/lane.c \
	%reldir%/ledger.h \
	%reldir%/options.h \
	%reldir%/parts.h \
	%reldir%/put.c \
	%reldir%/queue.c %reldir%/queue.h \
	%reldir%/ready.c %reldir%/ready.h \
	%reldir%/record.c %reldir%/record.h \
	%reldir%/results.c %reldir%/results.h \
	%reldir%/state.h \
	%reldir%/tick.c \
	%reldir%/twin.c \
	%reldir%/wait.c \
	%reldir%/wait.h
