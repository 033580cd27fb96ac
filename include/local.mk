# SPDX-License-Identifier: Apache-2.0
#
# The public headers, installed as <penstock/...>.

nodist_pkginclude_HEADERS += %reldir%/penstock/version.h
