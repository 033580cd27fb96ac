# SPDX-License-Identifier: Apache-2.0

penstockd_SOURCES += \
	%reldir%/main.c
