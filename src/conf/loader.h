/* SPDX-License-Identifier: Apache-2.0
 *
 * What the loader knows while it loads: the objects it made, and where each of their options stands in
 * the file, so that the checks between objects can point there.
 */
#ifndef CONF_LOADER_H
#define CONF_LOADER_H

#include "conf/options.h"
#include "conf/report.h"
#include "conf/yaml.h"

/* An option as it was written; value NULL: it was not. */
struct written {
    const struct node *key, *value;
    bool refused; /* reported already; the field holds the default */
};

/* One object: the top, a queue, ..., or the handler of a consumer. */
struct loaded {
    enum section_id section;
    struct place place; /* its name, or where it begins */
    const char *name;   /* NULL for the top and handlers */
    void *object;       /* its struct, inside the conf */
    struct written options[OPTIONS_COUNT];
};

struct loader {
    struct report report;
    struct conf *conf;
    struct loaded **loaded; /* in the order of the file; the handler of a consumer follows it */
    size_t loaded_count, loaded_room;
};

/* The checks between options and between objects. PEN_ENOMEM; what is wrong goes to the report. */
int check_all(struct loader *loader) MUST_CHECK;

#endif
