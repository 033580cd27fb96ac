/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/stderr.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/units.h"

/* systemd says in $JOURNAL_STREAM which device and inode its journal socket has; a child whose
 * standard error was redirected inherits the variable, so it must be compared. */
bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char text[64];
    struct stat st;
    uint64_t device, inode;
    if (stream == NULL || !str_copy(text, sizeof text, stream))
        return false;
    char *colon = strchr(text, ':');
    if (colon == NULL)
        return false;
    *colon = '\0';
    if (number_parse(text, &device) < 0 || number_parse(colon + 1, &inode) < 0)
        return false;
    return fstat(STDERR_FILENO, &st) == 0 && device == st.st_dev && inode == st.st_ino;
}

bool stderr_has_colours(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (no != NULL && no[0] != '\0')
        return false;
    return term != NULL && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
}
