# SPDX-License-Identifier: Apache-2.0

libparts_la_SOURCES += \
	%reldir%/chunk.c %reldir%/chunk.h \
	%reldir%/endpoint.c %reldir%/endpoint.h %reldir%/endpoint_kind.h \
	%reldir%/lines.c \
	%reldir%/nn.c \
	%reldir%/nn_address.c %reldir%/nn_address.h \
	%reldir%/sp.c %reldir%/sp.h \
	%reldir%/sp_attach.c \
	%reldir%/sp_guard.c \
	%reldir%/sp_peer.c \
	%reldir%/sp_queue.c %reldir%/sp_queue.h
