# SPDX-License-Identifier: Apache-2.0
#
# Benchmarks: add a program's name to bench_programs. "make bench" runs them.

bench_programs +=
