# SPDX-License-Identifier: Apache-2.0

dist_doc_DATA += %reldir%/penstock.schema.json

# bash looks for a completion under the name of the program.
EXTRA_DIST += %reldir%/penstock.bash-completion
bashcompdir = $(datadir)/bash-completion/completions
nodist_bashcomp_DATA = %reldir%/completions/penstock %reldir%/completions/penstockd
CLEANFILES += $(nodist_bashcomp_DATA)
$(nodist_bashcomp_DATA): %reldir%/penstock.bash-completion
	$(AM_V_GEN)$(MKDIR_P) %reldir%/completions && cp $(srcdir)/%reldir%/penstock.bash-completion $@
