# SPDX-License-Identifier: Apache-2.0

libpen_la_SOURCES += \
	%reldir%/version.c
