/* SPDX-License-Identifier: Apache-2.0
 *
 * What a job sees of itself, whoever runs it.
 */
#ifndef TASK_JOB_H
#define TASK_JOB_H

#include <penstock/future.h>

struct pen_job {
    /* fixed after init */
    struct pen_future *future; /* the job's reference */
    struct pen_loop *loop;     /* NULL: on a pool */
    pen_job_fn fn;
    void *arg;
};

#endif
