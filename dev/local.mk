# SPDX-License-Identifier: Apache-2.0
#
# The rules of the house as programs: dev/layers says which folder may see which, dev/tidy what code
# looks like, and dev/test-rules makes sure that both can fail.

house_rules = %reldir%/layers %reldir%/tidy %reldir%/test-rules

dist_check_SCRIPTS += $(house_rules)
if HAVE_PYTHON3
TESTS += $(house_rules)
endif

# What dev/layers compiles headers with.
HEADER_CPPFLAGS = \
	$(CPPFLAGS) $(LIBEVENT_CFLAGS) $(LIBNANOMSG_CFLAGS) $(LIBFYAML_CFLAGS) $(JANSSON_CFLAGS)

EXTRA_DIST += \
	%reldir%/check-totals \
	%reldir%/csource.py \
	%reldir%/format \
	%reldir%/install \
	%reldir%/packages \
	%reldir%/tidy.exceptions \
	.clang-format \
	src/base/.may_include \
	src/broker/.may_include \
	src/cli/.may_include \
	src/client/.may_include \
	src/conf/.may_include \
	src/daemon/.may_include \
	src/flow/.may_include \
	src/handler/.may_include \
	src/loop/.may_include \
	src/net/.may_include \
	src/obs/.may_include \
	src/plat/.may_include \
	src/proto/.may_include \
	src/store/.may_include \
	src/sync/.may_include \
	src/task/.may_include
