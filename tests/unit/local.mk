# SPDX-License-Identifier: Apache-2.0
#
# One Check program for each source file of src: add "%reldir%/queue" for %reldir%/queue.c.

unit_tests =

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
