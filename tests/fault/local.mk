# SPDX-License-Identifier: Apache-2.0
#
# Programs that fail the Nth call for every N: add a program's name to fault_tests.

fault_tests =

check_PROGRAMS += $(fault_tests)
TESTS += $(fault_tests)
