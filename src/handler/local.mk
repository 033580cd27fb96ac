# SPDX-License-Identifier: Apache-2.0

libparts_la_SOURCES += \
	%reldir%/builtin.c \
	%reldir%/exec.c \
	%reldir%/handler.c %reldir%/handler.h \
	%reldir%/kind.h
