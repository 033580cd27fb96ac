# SPDX-License-Identifier: Apache-2.0
#
# Programs that run on a simulated machine: add a program's name to sim_tests.

sim_tests =
vfs_sim = %reldir%/vfs_sim.c %reldir%/vfs_sim.h

sim_tests += %reldir%/test_store_sim
%canon_reldir%_test_store_sim_SOURCES = %reldir%/test_store_sim.c $(vfs_sim)
LONG_TESTS += %reldir%/test_store_sim

sim_tests += %reldir%/test_store_damage
%canon_reldir%_test_store_damage_SOURCES = %reldir%/test_store_damage.c $(vfs_sim)
LONG_TESTS += %reldir%/test_store_damage

# A day of the broker in virtual time.
sim_tests += %reldir%/broker_sim
LONG_TESTS += %reldir%/broker_sim

check_PROGRAMS += $(sim_tests)
TESTS += $(sim_tests)
