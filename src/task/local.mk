# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/deadline.c %reldir%/deadline.h \
	%reldir%/future.c %reldir%/future.h \
	%reldir%/group.c %reldir%/group.h \
	%reldir%/job.c %reldir%/job.h \
	%reldir%/order.c %reldir%/order.h \
	%reldir%/map.c \
	%reldir%/pool.c %reldir%/pool.h \
	%reldir%/queue.c %reldir%/queue.h \
	%reldir%/queue_loop.c \
	%reldir%/snapshot.c %reldir%/snapshot.h

# Worker processes.
libpen_la_SOURCES += \
	%reldir%/crew.c %reldir%/crew.h \
	%reldir%/isopool.c \
	%reldir%/worker.c %reldir%/worker.h \
	%reldir%/worker_fn.c %reldir%/worker_fn.h \
	%reldir%/worker_lines.c %reldir%/worker_lines.h \
	%reldir%/worker_proto.c %reldir%/worker_proto.h
