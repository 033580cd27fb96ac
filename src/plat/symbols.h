/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of the program's own functions, static and hidden ones as well, which dladdr() does not know: from the
 * symbol table of its file, when it was not stripped.
 *
 * Any thread; reads a file. What the file holds is not trusted.
 */
#ifndef PLAT_SYMBOLS_H
#define PLAT_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct symbols {
    const unsigned char *file; /* mapped; NULL: there are none */
    size_t bytes;
    uintptr_t base;            /* where the program was loaded */
    size_t table, count;       /* offset of the symbols in the file, and how many */
    size_t texts, texts_bytes; /* the same of their names */
};

/* Without a table, or memory, none is ever found. */
void symbols_open(struct symbols *ret_symbols);
void symbols_close(struct symbols *s);

/* The function that an address lies in, and where it begins; NULL: not known. Valid until symbols_close(). */
const char *symbols_find(const struct symbols *s, uintptr_t at, uintptr_t *ret_start);

#endif
