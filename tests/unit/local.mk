# SPDX-License-Identifier: Apache-2.0
#
# One Check program for each source file of src: add "%reldir%/test_queue" for %reldir%/test_queue.c.

unit_tests =
unit_tests += %reldir%/test_base
unit_tests += %reldir%/test_conf
unit_tests += %reldir%/test_json %reldir%/test_control
unit_tests += %reldir%/test_log %reldir%/test_proc
unit_tests += %reldir%/test_endpoint_nn %reldir%/test_lines
%canon_reldir%_test_endpoint_nn_SOURCES = %reldir%/test_endpoint_nn.c %reldir%/endpoint_fixture.h
%canon_reldir%_test_lines_SOURCES = %reldir%/test_lines.c %reldir%/endpoint_fixture.h

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
