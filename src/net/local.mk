# SPDX-License-Identifier: Apache-2.0
#
# The native transport is in libpenstock, for pen_client; the others are only in the programs.

libpen_la_SOURCES += \
	%reldir%/chunk.c %reldir%/chunk.h \
	%reldir%/endpoint.c %reldir%/endpoint.h %reldir%/endpoint_kind.h \
	%reldir%/nn_address.c %reldir%/nn_address.h \
	%reldir%/sp.c %reldir%/sp.h \
	%reldir%/sp_attach.c \
	%reldir%/sp_guard.c \
	%reldir%/sp_peer.c \
	%reldir%/sp_queue.c %reldir%/sp_queue.h

libparts_la_SOURCES += \
	%reldir%/lines.c \
	%reldir%/nn.c \
	%reldir%/open.c
