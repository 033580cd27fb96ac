# SPDX-License-Identifier: Apache-2.0

dist_doc_DATA += \
	README.md \
	%reldir%/architecture.md \
	%reldir%/benchmarks.md \
	%reldir%/store-format.md
