/* SPDX-License-Identifier: Apache-2.0
 *
 * Error codes. Every fallible call of libpenstock returns 0 (or a count) on success and a negative
 * value on failure: one of PEN_E..., or a negated errno value for what the operating system refused.
 */
#ifndef PENSTOCK_ERROR_H
#define PENSTOCK_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PEN_API __attribute__((visibility("default")))
#define PEN_MUST_CHECK __attribute__((warn_unused_result))
#else
#define PEN_API
#define PEN_MUST_CHECK
#endif

enum pen_error {
    PEN_OK = 0,
#define ERR(name, code, text, cause, remedy) PEN_##name = -(code),
#include <penstock/err.def>
#undef ERR
};

/* The text of an error: lower case, no full stop, never NULL, static. Any thread; does not block.
 * An unknown value gives "unknown error". Since 0.1. */
PEN_API const char *pen_strerror(int error);

/* The name of an error, such as "PEN_EFULL", or "E<number>" texts for errno values; never NULL,
 * static. Any thread. Since 0.1. */
PEN_API const char *pen_errname(int error);

#ifdef __cplusplus
}
#endif
#endif
