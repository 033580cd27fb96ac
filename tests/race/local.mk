# SPDX-License-Identifier: Apache-2.0
#
# Programs made to be run under ThreadSanitizer: add a program's name to race_tests.

race_tests =
race_tests += %reldir%/queue_race
LONG_TESTS += %reldir%/queue_race
race_tests += %reldir%/jobq_race
LONG_TESTS += %reldir%/jobq_race
race_tests += %reldir%/task_race
LONG_TESTS += %reldir%/task_race

check_PROGRAMS += $(race_tests)
TESTS += $(race_tests)
