/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures as people read them: three digits and a unit. Exact ones are base/units.h's.
 */
#ifndef CLI_HUMAN_H
#define CLI_HUMAN_H

#include <stdint.h>

enum { HUMAN_BYTES = 32 };

/* 1536 -> "1.50 KiB". Returns text. */
char *human_bytes(uint64_t bytes, char text[HUMAN_BYTES]);

/* 1234.5 -> "1.23k". Returns text. */
char *human_number(double number, char text[HUMAN_BYTES]);

/* 93784.2 -> "1d 2h 3m", 12.34 -> "12.3s". Returns text. */
char *human_seconds(double seconds, char text[HUMAN_BYTES]);

#endif
