/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C (Castagnoli), by the processor's own instruction where it has one.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of the bytes, continued from a former one or from a seed; 0 at the beginning. With another seed the same
 * bytes never give the same sum. "123456789" gives 0xe3069283. */
uint32_t crc32c(uint32_t seed, const void *data, size_t n);

/* The same by table, for comparison. */
uint32_t crc32c_by_table(uint32_t seed, const void *data, size_t n);

#endif
