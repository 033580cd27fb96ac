# SPDX-License-Identifier: Apache-2.0
#
# The real programs, driven by scripts: add an executable script's name to integration_tests.

integration_tests = \
	%reldir%/attacks \
	%reldir%/batch \
	%reldir%/bench \
	%reldir%/bench-peers \
	%reldir%/cli \
	%reldir%/delivery \
	%reldir%/demo \
	%reldir%/durable \
	%reldir%/durable-full \
	%reldir%/examples \
	%reldir%/flow \
	%reldir%/fuzz-sockets \
	%reldir%/life \
	%reldir%/load \
	%reldir%/cli-control \
	%reldir%/completion \
	%reldir%/hardening \
	%reldir%/interop \
	%reldir%/reliable \
	%reldir%/jobs \
	%reldir%/man-api \
	%reldir%/man-lint \
	%reldir%/man-options \
	%reldir%/nanomsg \
	%reldir%/programs \
	%reldir%/readme \
	%reldir%/service \
	%reldir%/service-calls \
	%reldir%/stanza-worker \
	%reldir%/store \
	%reldir%/verbs \
	%reldir%/work

# Configurations and what is said about them.
integration_tests += \
	%reldir%/conf-errors \
	%reldir%/conf-tables
check_PROGRAMS += %reldir%/conf_tool
EXTRA_DIST += %reldir%/conf

# What the scripts in Python share.
EXTRA_DIST += %reldir%/daemon.py %reldir%/frames.py %reldir%/pipeline.py %reldir%/rawsp.py %reldir%/victim.py
EXTRA_DIST += %reldir%/desk.py

LONG_TESTS += %reldir%/durable %reldir%/life %reldir%/reliable
LONG_TESTS += %reldir%/jobs

dist_check_SCRIPTS += $(integration_tests)
TESTS += $(integration_tests)
