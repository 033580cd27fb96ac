# SPDX-License-Identifier: Apache-2.0
#
# One Check program for each source file of src: add "%reldir%/test_queue" for %reldir%/test_queue.c.

unit_tests =
unit_tests += %reldir%/test_base
unit_tests += %reldir%/test_cli_format
%canon_reldir%_test_cli_format_SOURCES = \
	%reldir%/test_cli_format.c \
	src/cli/format.c src/cli/human.c src/cli/say.c src/cli/signals.c src/cli/source.c src/cli/table.c
unit_tests += %reldir%/test_conf
unit_tests += %reldir%/test_broker %reldir%/test_loop
unit_tests += %reldir%/test_broker_lease %reldir%/test_broker_order %reldir%/test_broker_put
unit_tests += %reldir%/test_broker_journal %reldir%/test_results
%canon_reldir%_test_broker_journal_SOURCES = %reldir%/test_broker_journal.c %reldir%/broker_fixture.h
%canon_reldir%_test_broker_lease_SOURCES = %reldir%/test_broker_lease.c %reldir%/broker_fixture.h
%canon_reldir%_test_broker_order_SOURCES = %reldir%/test_broker_order.c %reldir%/broker_fixture.h
%canon_reldir%_test_broker_put_SOURCES = %reldir%/test_broker_put.c %reldir%/broker_fixture.h
unit_tests += %reldir%/test_json %reldir%/test_control %reldir%/test_worker_verbs
unit_tests += %reldir%/test_log %reldir%/test_proc %reldir%/test_handler
unit_tests += %reldir%/test_isopool %reldir%/test_worker_lines %reldir%/test_worker_proto
unit_tests += %reldir%/test_batch %reldir%/test_client %reldir%/test_client_work %reldir%/test_sp
unit_tests += %reldir%/test_endpoint_nn %reldir%/test_endpoint_native %reldir%/test_lines
unit_tests += %reldir%/test_endpoint_sp
%canon_reldir%_test_endpoint_sp_SOURCES = \
	%reldir%/test_endpoint_sp.c %reldir%/endpoint_fixture.h %reldir%/raw_peer.h
unit_tests += %reldir%/test_sp_limits
%canon_reldir%_test_sp_limits_SOURCES = \
	%reldir%/test_sp_limits.c %reldir%/endpoint_fixture.h %reldir%/raw_peer.h
%canon_reldir%_test_endpoint_native_SOURCES = \
	%reldir%/test_endpoint_nn.c %reldir%/endpoint_fixture.h
%canon_reldir%_test_endpoint_native_CPPFLAGS = \
	$(AM_CPPFLAGS) -DFIXTURE_TRANSPORT=TRANSPORT_NATIVE
%canon_reldir%_test_endpoint_nn_SOURCES = %reldir%/test_endpoint_nn.c %reldir%/endpoint_fixture.h
%canon_reldir%_test_lines_SOURCES = %reldir%/test_lines.c %reldir%/endpoint_fixture.h
unit_tests += %reldir%/test_histogram
unit_tests += %reldir%/test_packer %reldir%/test_unpack
unit_tests += %reldir%/test_attributes %reldir%/test_durable %reldir%/test_store %reldir%/test_vfs
unit_tests += %reldir%/test_libevent
unit_tests += %reldir%/test_future %reldir%/test_pool %reldir%/test_group %reldir%/test_deadline
%canon_reldir%_test_group_SOURCES = %reldir%/test_group.c %reldir%/task_fixture.h
%canon_reldir%_test_deadline_SOURCES = %reldir%/test_deadline.c %reldir%/task_fixture.h
unit_tests += %reldir%/test_queue %reldir%/test_waiters
unit_tests += %reldir%/test_loopgroup %reldir%/test_snapshot %reldir%/test_watch
# Its own functions are to be found in stacks.
%canon_reldir%_test_watch_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
LONG_TESTS += %reldir%/test_watch

# The queue's contract: for every program that runs it on a queue.
queue_contract = \
	%reldir%/queue_contract.c %reldir%/queue_contract.h \
	%reldir%/queue_contract_loops.c %reldir%/queue_contract_threads.c
%canon_reldir%_test_queue_SOURCES = %reldir%/test_queue.c $(queue_contract)
unit_tests += %reldir%/test_answer %reldir%/test_outlet %reldir%/test_topic
unit_tests += %reldir%/test_replay %reldir%/test_reliable %reldir%/test_resultlog
unit_tests += %reldir%/test_jobq
%canon_reldir%_test_jobq_SOURCES = \
	%reldir%/test_jobq.c %reldir%/jobq_adapter.c %reldir%/jobq_adapter.h $(queue_contract)

# The books of a broker that add up are shown to be wrong.
unit_tests += %reldir%/test_ledger_alarm
%canon_reldir%_test_ledger_alarm_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=broker_ledger_holds

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
