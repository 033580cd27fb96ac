dnl SPDX-License-Identifier: Apache-2.0

# PEN_HARDENING
# Set HARDENING_CPPFLAGS, HARDENING_CFLAGS, HARDENING_LDFLAGS (programs and libraries) and
# PIE_LDFLAGS (programs only). Needs pen_sanitizers from PEN_SANITIZER. What the result must look
# like in the built programs is asserted by tests/integration/hardening.
AC_DEFUN([PEN_HARDENING], [
  AC_ARG_ENABLE([hardening],
    [AS_HELP_STRING([--disable-hardening], [leave out the hardening flags of compiler and linker])],
    [], [enable_hardening=yes])
  HARDENING_CPPFLAGS=
  HARDENING_CFLAGS=
  HARDENING_LDFLAGS=
  PIE_LDFLAGS=
  AS_VAR_IF([enable_hardening], [yes], [
    PEN_FORTIFY
    # Without -ftrivial-auto-var-init=zero: batches live in arrays of 12 KiB on the stack, and
    # clearing them cost 800 ns a call, ten times the work on a batch of one.
    PEN_TRY_CFLAGS([
      -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
    ], [HARDENING_CFLAGS])
    PEN_TRY_LDFLAG([-Wl,-z,relro], [HARDENING_LDFLAGS])
    PEN_TRY_LDFLAG([-Wl,-z,now], [HARDENING_LDFLAGS])
    PEN_TRY_LDFLAG([-Wl,-z,noexecstack], [HARDENING_LDFLAGS])
    PEN_TRY_LDFLAG([-pie], [PIE_LDFLAGS])
  ])
  PEN_TRY_LDFLAG([-Wl,--as-needed], [HARDENING_LDFLAGS])
  AC_SUBST([HARDENING_CPPFLAGS])
  AC_SUBST([HARDENING_CFLAGS])
  AC_SUBST([HARDENING_LDFLAGS])
  AC_SUBST([PIE_LDFLAGS])
])

# PEN_FORTIFY
# The highest _FORTIFY_SOURCE the C library takes without a warning: none without optimization, and
# none under a sanitizer, whose interceptors do not see the checked calls. Whoever sets it in
# CPPFLAGS or CFLAGS is left in charge.
AC_DEFUN([PEN_FORTIFY], [
  AC_CACHE_CHECK([for the level of _FORTIFY_SOURCE], [pen_cv_fortify], [
    AS_CASE(["$pen_sanitizers $CPPFLAGS $CFLAGS"],
      [*_FORTIFY_SOURCE*], [pen_cv_fortify=preset],
      [" "*], [
        pen_cv_fortify=no
        pen_save_CFLAGS=$CFLAGS
        for pen_level in 3 2; do
          CFLAGS="$pen_save_CFLAGS -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$pen_level"
          AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <stdlib.h>
            #if !defined __USE_FORTIFY_LEVEL || __USE_FORTIFY_LEVEL != _FORTIFY_SOURCE
            #error not taken
            #endif]], [[]])],
            [pen_cv_fortify=$pen_level; break])
        done
        CFLAGS=$pen_save_CFLAGS],
      [pen_cv_fortify=no])
  ])
  AS_CASE([$pen_cv_fortify],
    [2|3], [HARDENING_CPPFLAGS="-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$pen_cv_fortify"])
])
