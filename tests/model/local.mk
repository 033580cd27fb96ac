# SPDX-License-Identifier: Apache-2.0
#
# Random commands against a naive model: add a program's name to model_tests.

model_tests =
model_tests += %reldir%/broker_model
%canon_reldir%_broker_model_SOURCES = %reldir%/broker_model.c %reldir%/random.h
model_tests += %reldir%/queue_model
%canon_reldir%_queue_model_SOURCES = %reldir%/queue_model.c %reldir%/random.h
LONG_TESTS += %reldir%/queue_model

dist_check_SCRIPTS += %reldir%/queue-spin
EXTRA_DIST += %reldir%/queue.pml
TESTS += %reldir%/queue-spin
LONG_TESTS += %reldir%/queue-spin

check_PROGRAMS += $(model_tests)
TESTS += $(model_tests)
LONG_TESTS += %reldir%/broker_model
