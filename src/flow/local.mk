# SPDX-License-Identifier: Apache-2.0

libparts_la_SOURCES += \
	%reldir%/jobq.c %reldir%/jobq.h
