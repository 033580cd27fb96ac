dnl SPDX-License-Identifier: Apache-2.0

# PEN_SANITIZER
# --with-sanitizer=LIST, --enable-fuzz, --enable-coverage and --enable-clang-tsa: what a build for
# finding mistakes adds. Sets INSTRUMENT_CPPFLAGS, INSTRUMENT_CFLAGS, INSTRUMENT_LDFLAGS,
# FUZZ_LDFLAGS, pen_sanitizers, the conditionals ENABLE_FUZZ and ENABLE_SANITIZER, and
# PEN_SANITIZERS in config.h.
AC_DEFUN([PEN_SANITIZER], [
  AC_ARG_WITH([sanitizer],
    [AS_HELP_STRING([--with-sanitizer=LIST], [instrument the build: address,undefined or thread])],
    [], [with_sanitizer=no])
  AC_ARG_ENABLE([fuzz],
    [AS_HELP_STRING([--enable-fuzz], [link the fuzz targets with libFuzzer (clang); without it they replay their corpus])],
    [], [enable_fuzz=no])
  AC_ARG_ENABLE([coverage],
    [AS_HELP_STRING([--enable-coverage], [instrument the build for gcov])],
    [], [enable_coverage=no])
  AC_ARG_ENABLE([clang-tsa],
    [AS_HELP_STRING([--enable-clang-tsa], [check thread roles and locks with clang's thread safety analysis])],
    [], [enable_clang_tsa=no])

  INSTRUMENT_CPPFLAGS=
  INSTRUMENT_CFLAGS=
  INSTRUMENT_LDFLAGS=
  FUZZ_LDFLAGS=

  AS_CASE([$with_sanitizer],
    [no], [pen_sanitizers=],
    [yes], [pen_sanitizers=address,undefined],
    [pen_sanitizers=$with_sanitizer])
  AS_IF([test -n "$pen_sanitizers"], [
    PEN_REQUIRE_FLAG([-fsanitize=$pen_sanitizers -fno-omit-frame-pointer -fno-sanitize-recover=all],
      [INSTRUMENT_CFLAGS], [--with-sanitizer=$with_sanitizer])
    INSTRUMENT_LDFLAGS="$INSTRUMENT_LDFLAGS -fsanitize=$pen_sanitizers"
  ])
  AC_DEFINE_UNQUOTED([PEN_SANITIZERS], ["$pen_sanitizers"], [Sanitizers of this build, or "".])
  AM_CONDITIONAL([ENABLE_SANITIZER], [test -n "$pen_sanitizers"])

  AS_VAR_IF([enable_fuzz], [yes], [
    PEN_REQUIRE_FLAG([-fsanitize=fuzzer-no-link], [INSTRUMENT_CFLAGS], [--enable-fuzz (it needs clang)])
    FUZZ_LDFLAGS=-fsanitize=fuzzer
  ])
  AM_CONDITIONAL([ENABLE_FUZZ], [test "$enable_fuzz" = yes])

  AS_VAR_IF([enable_coverage], [yes], [
    PEN_REQUIRE_FLAG([--coverage], [INSTRUMENT_CFLAGS], [--enable-coverage])
    INSTRUMENT_LDFLAGS="$INSTRUMENT_LDFLAGS --coverage"
  ])

  AS_VAR_IF([enable_clang_tsa], [yes], [
    # Without -Wthread-safety-precise, which takes one lock reached by two names for two locks.
    PEN_REQUIRE_FLAG(
      [-Wthread-safety-analysis -Werror=thread-safety-analysis -Wno-thread-safety-precise],
      [INSTRUMENT_CFLAGS], [--enable-clang-tsa (it needs clang)])
    INSTRUMENT_CPPFLAGS="$INSTRUMENT_CPPFLAGS -DPEN_CLANG_TSA=1"
  ])

  AC_SUBST([INSTRUMENT_CPPFLAGS])
  AC_SUBST([INSTRUMENT_CFLAGS])
  AC_SUBST([INSTRUMENT_LDFLAGS])
  AC_SUBST([FUZZ_LDFLAGS])
])

# PEN_REQUIRE_FLAG(FLAGS, VARIABLE, WHAT)
# Append FLAGS to VARIABLE, or stop: an instrumented build that is none would pass for the wrong
# reason.
AC_DEFUN([PEN_REQUIRE_FLAG], [
  AC_MSG_CHECKING([whether $CC takes $1])
  pen_save_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror $1"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
    [AC_MSG_RESULT([yes])
     AS_VAR_APPEND([$2], [" $1"])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([$CC cannot do $3])])
  CFLAGS=$pen_save_CFLAGS
])
