/* SPDX-License-Identifier: Apache-2.0
 *
 * ELF: the header says where the section headers are; the one of type SHT_SYMTAB says where the symbols are, and which
 * section has their names. /proc/self/exe is the file that runs, also when another has taken its place since.
 */
#include "plat/symbols.h"

#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* n pieces of a size at an offset lie in the file. */
static bool lies_within(const struct symbols *s, uint64_t at, uint64_t n, size_t size)
{
    return at <= s->bytes && n <= (s->bytes - at) / size;
}

static ElfW(Shdr) section(const struct symbols *s, uint64_t headers, uint64_t i)
{
    ElfW(Shdr) header;
    memcpy(&header, s->file + headers + i * sizeof header, sizeof header);
    return header;
}

/* Find the table of symbols and that of their names; false when they are not there or not right. */
static bool find_tables(struct symbols *s)
{
    ElfW(Ehdr) e;
    if (s->bytes < sizeof e)
        return false;
    memcpy(&e, s->file, sizeof e);
    if (memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 || e.e_shentsize != sizeof(ElfW(Shdr)) ||
        !lies_within(s, e.e_shoff, e.e_shnum, sizeof(ElfW(Shdr))))
        return false;
    for (unsigned i = 0; i < e.e_shnum; i++) {
        ElfW(Shdr) symbols = section(s, e.e_shoff, i);
        if (symbols.sh_type != SHT_SYMTAB || symbols.sh_link >= e.e_shnum)
            continue;
        ElfW(Shdr) texts = section(s, e.e_shoff, symbols.sh_link);
        s->table = symbols.sh_offset;
        s->count = symbols.sh_size / sizeof(ElfW(Sym));
        s->texts = texts.sh_offset;
        s->texts_bytes = texts.sh_size;
        return lies_within(s, s->table, s->count, sizeof(ElfW(Sym))) &&
               lies_within(s, s->texts, s->texts_bytes, 1);
    }
    return false;
}

/* The first object is the program. */
static int take_base(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    *(uintptr_t *)arg = info->dlpi_addr;
    return 1;
}

void symbols_open(struct symbols *ret_symbols)
{
    struct symbols s = { 0 };
    struct stat st;
    *ret_symbols = s;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        void *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        s.file = file != MAP_FAILED ? file : NULL;
        s.bytes = (size_t)st.st_size;
    }
    close(fd);
    if (s.file == NULL)
        return;
    (void)dl_iterate_phdr(take_base, &s.base);
    if (find_tables(&s))
        *ret_symbols = s;
    else
        symbols_close(&s);
}

void symbols_close(struct symbols *s)
{
    if (s->file != NULL)
        (void)munmap((void *)(uintptr_t)s->file, s->bytes);
    s->file = NULL;
}

static const char *text_at(const struct symbols *s, uint64_t offset)
{
    const char *texts = (const char *)s->file + s->texts;
    if (offset >= s->texts_bytes || memchr(texts + offset, '\0', s->texts_bytes - offset) == NULL)
        return NULL;
    return texts + offset;
}

const char *symbols_find(const struct symbols *s, uintptr_t at, uintptr_t *ret_start)
{
    for (size_t i = 0; s->file != NULL && i < s->count; i++) {
        ElfW(Sym) symbol;
        memcpy(&symbol, s->file + s->table + i * sizeof symbol, sizeof symbol);
        uintptr_t start = s->base + symbol.st_value;
        if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || at < start || at - start >= symbol.st_size)
            continue;
        *ret_start = start;
        return text_at(s, symbol.st_name);
    }
    return NULL;
}
