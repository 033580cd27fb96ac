# SPDX-License-Identifier: Apache-2.0
#
# A test is a program or a script that exits 0 for passed, 77 for skipped and anything else for
# failed. It finds what it needs through TEST_ENVIRONMENT in the top Makefile.am.

include %reldir%/helpers/local.mk
include %reldir%/unit/local.mk
include %reldir%/model/local.mk
include %reldir%/race/local.mk
include %reldir%/sim/local.mk
include %reldir%/fuzz/local.mk
include %reldir%/fault/local.mk
include %reldir%/integration/local.mk
include %reldir%/regress/local.mk
include %reldir%/bench/local.mk


EXTRA_DIST += \
	%reldir%/sanitizer/lsan.supp \
	%reldir%/sanitizer/tsan.supp
