# SPDX-License-Identifier: Apache-2.0

libparts_la_SOURCES += \
	%reldir%/job.c %reldir%/job.h \
	%reldir%/journal.h \
	%reldir%/ledger.h \
	%reldir%/options.h \
	%reldir%/queue.c %reldir%/queue.h \
	%reldir%/results.h \
	%reldir%/wait.h
