# SPDX-License-Identifier: Apache-2.0

examplesdir = $(docdir)/examples
dist_examples_DATA = \
	%reldir%/answers.yaml \
	%reldir%/squares.yaml \
	%reldir%/stanzas.yaml
dist_examples_SCRIPTS = \
	%reldir%/demo \
	%reldir%/stanza-worker
