# SPDX-License-Identifier: Apache-2.0

libparts_la_SOURCES += \
	%reldir%/answer.c %reldir%/answer.h \
	%reldir%/attributes.c %reldir%/attributes.h \
	%reldir%/bury.c %reldir%/bury.h \
	%reldir%/consumer.c %reldir%/consumer.h \
	%reldir%/durable.c %reldir%/durable.h \
	%reldir%/jobq.c %reldir%/jobq.h %reldir%/jobq_inside.h %reldir%/jobq_durable.c \
	%reldir%/jobq_loop.c %reldir%/jobq_time.c \
	%reldir%/outlet.c %reldir%/outlet.h \
	%reldir%/packer.c %reldir%/packer.h \
	%reldir%/part.c %reldir%/part.h \
	%reldir%/pattern.h \
	%reldir%/producer.c %reldir%/producer.h \
	%reldir%/promises.c %reldir%/promises.h \
	%reldir%/publisher.c %reldir%/publisher.h \
	%reldir%/replay.c %reldir%/replay.h \
	%reldir%/resultlog.c %reldir%/resultlog.h \
	%reldir%/topic.c %reldir%/topic.h \
	%reldir%/workers.c %reldir%/workers.h %reldir%/workers_held.c %reldir%/workers_inside.h \
	%reldir%/workers_look.c %reldir%/workers_put.c %reldir%/workers_take.c \
	%reldir%/unpack.c %reldir%/unpack.h
