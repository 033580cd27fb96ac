# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/future.c %reldir%/future.h \
	%reldir%/job.c %reldir%/job.h \
	%reldir%/order.c %reldir%/order.h \
	%reldir%/map.c \
	%reldir%/pool.c %reldir%/pool.h \
	%reldir%/queue.c %reldir%/queue.h \
	%reldir%/queue_loop.c
