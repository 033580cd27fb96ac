/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/env.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *env_get(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

int env_with(const char *const *more, size_t n, const char ***ret_env)
{
    size_t have = 0;
    while (environ[have] != NULL)
        have++;
    const char **env = calloc(n + have + 1, sizeof *env);
    if (env == NULL)
        return PEN_ENOMEM;
    memcpy(env, more, n * sizeof *env);
    memcpy(env + n, environ, have * sizeof *env);
    *ret_env = env;
    return 0;
}
