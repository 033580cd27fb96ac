# SPDX-License-Identifier: Apache-2.0

penstock_SOURCES += \
	%reldir%/bench.h %reldir%/bench-message.h \
	%reldir%/bench-client.c %reldir%/bench-client.h \
	%reldir%/bench-device.c \
	%reldir%/bench-report.c \
	%reldir%/bench-results.c \
	%reldir%/bench-run.c \
	%reldir%/bench-times.c %reldir%/bench-times.h \
	%reldir%/bench-work.c \
	%reldir%/cli.h \
	%reldir%/client.c %reldir%/client.h \
	%reldir%/client-native.c %reldir%/client-native.h \
	%reldir%/cmd-bench.c \
	%reldir%/cmd-control.c \
	%reldir%/cmd-errors.c \
	%reldir%/cmd-help.c %reldir%/cmd-help.h \
	%reldir%/cmd-jobs.c \
	%reldir%/cmd-messages.c \
	%reldir%/cmd-put.c \
	%reldir%/cmd-store.c \
	%reldir%/cmd-work.c \
	%reldir%/command.c %reldir%/command.h \
	%reldir%/control.c %reldir%/control.h \
	%reldir%/desk.c %reldir%/desk.h \
	%reldir%/exits.def \
	%reldir%/format.c %reldir%/format.h \
	%reldir%/frames.c %reldir%/frames.h \
	%reldir%/human.c %reldir%/human.h \
	%reldir%/jobs.c %reldir%/jobs.h \
	%reldir%/main.c \
	%reldir%/options.c %reldir%/options.h \
	%reldir%/output.c %reldir%/output.h \
	%reldir%/probe.c %reldir%/probe.h \
	%reldir%/progress.c %reldir%/progress.h \
	%reldir%/run.c %reldir%/run.h \
	%reldir%/say.c \
	%reldir%/signals.c %reldir%/signals.h \
	%reldir%/source.c %reldir%/source.h \
	%reldir%/stream.c %reldir%/stream-open.c %reldir%/stream.h \
	%reldir%/subscribe.c %reldir%/subscribe.h \
	%reldir%/table.c %reldir%/table.h \
	%reldir%/work.c %reldir%/work-run.c %reldir%/work.h
