# SPDX-License-Identifier: Apache-2.0

libparts_la_SOURCES += \
	%reldir%/builtin.c \
	%reldir%/coproc.c %reldir%/coproc.h \
	%reldir%/errlog.c %reldir%/errlog.h \
	%reldir%/exec.c \
	%reldir%/exec_proto.c %reldir%/exec_proto.h \
	%reldir%/handler.c %reldir%/handler.h \
	%reldir%/kind.h
