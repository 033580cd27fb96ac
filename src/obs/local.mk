# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/log.c %reldir%/log.h
