# SPDX-License-Identifier: Apache-2.0

dist_man_MANS += \
	%reldir%/pen_client.3 \
	%reldir%/pen_deadline.3 \
	%reldir%/pen_error.3 \
	%reldir%/pen_future.3 \
	%reldir%/pen_group.3 \
	%reldir%/pen_histogram.3 \
	%reldir%/pen_isopool.3 \
	%reldir%/pen_libevent.3 \
	%reldir%/pen_loop.3 \
	%reldir%/pen_loopgroup.3 \
	%reldir%/pen_pool.3 \
	%reldir%/pen_queue.3 \
	%reldir%/pen_time.3 \
	%reldir%/pen_version.3 \
	%reldir%/pen_watch.3 \
	%reldir%/penstock.1 \
	%reldir%/penstock-bench.1 \
	%reldir%/penstock-jobs.1 \
	%reldir%/penstock-work.1 \
	%reldir%/penstock.yaml.5 \
	%reldir%/penstock-protocol.7 \
	%reldir%/penstockd.8
