# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/ask.c \
	%reldir%/client.c %reldir%/client.h \
	%reldir%/receive.c \
	%reldir%/settle.c \
	%reldir%/work.c
