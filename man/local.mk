# SPDX-License-Identifier: Apache-2.0

dist_man_MANS += \
	%reldir%/pen_libevent.3 \
	%reldir%/penstock.1 \
	%reldir%/penstock.yaml.5 \
	%reldir%/penstock-protocol.7 \
	%reldir%/penstockd.8
