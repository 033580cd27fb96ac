# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/batch.c %reldir%/batch.def %reldir%/batch.h \
	%reldir%/sp.c %reldir%/sp.h

libparts_la_SOURCES += \
	%reldir%/base64.c %reldir%/base64.h \
	%reldir%/control.c %reldir%/control.h \
	%reldir%/json.c %reldir%/json.h \
	%reldir%/json_value.c %reldir%/json_value.h \
	%reldir%/published.c %reldir%/published.h \
	%reldir%/reliable.c %reldir%/reliable.h \
	%reldir%/replay.c %reldir%/replay.h \
	%reldir%/worker.c %reldir%/worker.h
