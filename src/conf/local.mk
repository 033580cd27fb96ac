# SPDX-License-Identifier: Apache-2.0

libparts_la_SOURCES += \
	%reldir%/address.c %reldir%/address.h \
	%reldir%/check.c \
	%reldir%/conf.h \
	%reldir%/dump.c \
	%reldir%/expand.c %reldir%/expand.h \
	%reldir%/load.c %reldir%/loader.h \
	%reldir%/options.c %reldir%/options.def %reldir%/options.h \
	%reldir%/report.c %reldir%/report.h \
	%reldir%/tables.c \
	%reldir%/utf8.c %reldir%/utf8.h \
	%reldir%/value.c %reldir%/value.h \
	%reldir%/yaml.c %reldir%/yaml.h
