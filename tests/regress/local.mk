# SPDX-License-Identifier: Apache-2.0
#
# One test for each fixed bug, NNNN-slug: a Check program in regress_programs, or an executable
# script in regress_scripts.

regress_programs =
regress_scripts = \
	%reldir%/0001-too-big-waits-for-ever \
	%reldir%/0002-closed-standard-descriptors \
	%reldir%/0003-drain-waits-for-a-pause \
	%reldir%/0004-results-counted-twice \
	%reldir%/0005-output-lost-in-silence \
	%reldir%/0006-few-descriptors \
	%reldir%/0007-processes-die-under-load \
	%reldir%/0008-drops-not-in-the-account

check_PROGRAMS += $(regress_programs)
dist_check_SCRIPTS += $(regress_scripts)
TESTS += $(regress_programs) $(regress_scripts)
