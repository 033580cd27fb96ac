# SPDX-License-Identifier: Apache-2.0

penstock_SOURCES += \
	%reldir%/main.c
