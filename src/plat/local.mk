# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/allocator.c %reldir%/allocator.h \
	%reldir%/clock.c %reldir%/clock.h \
	%reldir%/ends.c %reldir%/ends.h \
	%reldir%/env.c %reldir%/env.h \
	%reldir%/forkserver.c %reldir%/forkserver.h \
	%reldir%/forkserver_main.c %reldir%/forkserver_wire.h \
	%reldir%/fdlimit.c %reldir%/fdlimit.h \
	%reldir%/notify.c %reldir%/notify.h \
	%reldir%/proc.c %reldir%/proc.h \
	%reldir%/rand.c %reldir%/rand.h \
	%reldir%/stack.c %reldir%/stack.h \
	%reldir%/stderr.c %reldir%/stderr.h \
	%reldir%/stdio.c %reldir%/stdio.h \
	%reldir%/symbols.c %reldir%/symbols.h \
	%reldir%/thread.c %reldir%/thread.h \
	%reldir%/vfs.c %reldir%/vfs.h
