dnl SPDX-License-Identifier: Apache-2.0

# PEN_MODVERSION(MODULE)
# Expands to a shell substitution: the version pkg-config knows of MODULE.
m4_define([PEN_MODVERSION], [`$PKG_CONFIG --modversion $1 2>/dev/null`])

# PEN_SUMMARY
# Put what was configured into pen_summary, and into config.h as the string PEN_CONFIGURE_SUMMARY
# for "penstockd -VV". No path and no date: equal sources and flags give an equal string.
AC_DEFUN([PEN_SUMMARY], [
  pen_compiler=`$CC --version 2>/dev/null | sed 1q`
  AS_VAR_IF([have_nng], [yes], [pen_nng=yes], [pen_nng=no])
  AS_VAR_IF([PYTHON3], [no], [pen_python3=no], [pen_python3=yes])
  pen_summary="  Version:    AC_PACKAGE_VERSION
  Host:       $host
  Compiler:   $pen_compiler
  CFLAGS:     $CFLAGS
  Language:   `echo $LANG_CFLAGS`
  Hardening:  `echo $HARDENING_CPPFLAGS $HARDENING_CFLAGS $HARDENING_LDFLAGS $PIE_LDFLAGS`
  Warnings:   fatal: $enable_werror
  Sanitizer:  ${pen_sanitizers:-no}
  Fuzzer:     $enable_fuzz
  Coverage:   $enable_coverage
  Clang TSA:  $enable_clang_tsa
  libevent:   PEN_MODVERSION([libevent_core])
  libnanomsg: PEN_MODVERSION([nanomsg])
  libfyaml:   PEN_MODVERSION([libfyaml])
  jansson:    PEN_MODVERSION([jansson])
  check:      $pen_check (tests)
  nng:        $pen_nng (tests)
  libxml2:    $have_libxml2 (examples/news)
  python3:    $pen_python3 (tests)"
  pen_summary_c=`AS_ECHO(["$pen_summary"]) | sed 's/\\\\/\\\\\\\\/g; s/"/\\\\"/g; s/^  //; s/$/\\\\n/' | tr -d '\n'`
  AC_DEFINE_UNQUOTED([PEN_CONFIGURE_SUMMARY], ["$pen_summary_c"],
    [What configure found and was told, one fact per line.])
])
