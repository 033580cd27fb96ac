dnl SPDX-License-Identifier: Apache-2.0
dnl
dnl Probing of flags. Every flag is tried together with the ones accepted before it and with -Werror,
dnl because clang only warns about what it does not know. CFLAGS, CPPFLAGS and LDFLAGS belong to
dnl whoever builds; accepted flags go into variables of our own.

# PEN_TRY_CFLAG(FLAG, VARIABLE)
# Append FLAG to VARIABLE when the compiler takes it.
AC_DEFUN([PEN_TRY_CFLAG], [
  AS_VAR_PUSHDEF([cache], [pen_cv_cflag_$1])
  AC_CACHE_CHECK([whether $CC takes $1], [cache], [
    pen_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS $[]$2 -Werror $1"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
      [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
    CFLAGS=$pen_save_CFLAGS
  ])
  AS_VAR_IF([cache], [yes], [AS_VAR_APPEND([$2], [" $1"])])
  AS_VAR_POPDEF([cache])
])

# PEN_TRY_CFLAGS(FLAGS, VARIABLE)
# PEN_TRY_CFLAG for each of a list of literals.
AC_DEFUN([PEN_TRY_CFLAGS], [m4_foreach_w([pen_flag], [$1], [PEN_TRY_CFLAG(m4_defn([pen_flag]), [$2])])])

# PEN_TRY_LDFLAG(FLAG, VARIABLE)
# Append FLAG to VARIABLE when a program can be linked with it.
AC_DEFUN([PEN_TRY_LDFLAG], [
  AS_VAR_PUSHDEF([cache], [pen_cv_ldflag_$1])
  AC_CACHE_CHECK([whether $CC links with $1], [cache], [
    pen_save_LDFLAGS=$LDFLAGS
    pen_save_CFLAGS=$CFLAGS
    LDFLAGS="$LDFLAGS $[]$2 $1"
    CFLAGS="$CFLAGS $HARDENING_CFLAGS -Werror"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
      [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
    CFLAGS=$pen_save_CFLAGS
    LDFLAGS=$pen_save_LDFLAGS
  ])
  AS_VAR_IF([cache], [yes], [AS_VAR_APPEND([$2], [" $1"])])
  AS_VAR_POPDEF([cache])
])

# PEN_WARNINGS
# Set WARN_CFLAGS. --enable-werror makes each of them fatal.
AC_DEFUN([PEN_WARNINGS], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make every compiler warning an error])],
    [], [enable_werror=no])
  WARN_CFLAGS=
  PEN_TRY_CFLAGS([
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough
    -Wdate-time -Wnested-externs -Wredundant-decls -Wlogical-op -Wduplicated-cond
    -Wduplicated-branches -Wjump-misses-init -Wno-unused-parameter
  ], [WARN_CFLAGS])
  AS_VAR_IF([enable_werror], [yes], [AS_VAR_APPEND([WARN_CFLAGS], [" -Werror"])])
  AC_SUBST([WARN_CFLAGS])
])
