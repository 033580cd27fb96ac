/* SPDX-License-Identifier: Apache-2.0
 *
 * penstockd: the daemon, in the foreground. Boot, run MAIN's loop, end.
 */
#include <penstock/version.h>
#include <penstock/watch.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "daemon/daemon.h"
#include "daemon/options.h"
#include "obs/log.h"
#include "plat/allocator.h"
#include "plat/notify.h"
#include "plat/stdio.h"

static int check_only(const char *file)
{
    struct conf *conf;
    int r = conf_load(file, stderr, &conf);
    if (r < 0)
        return r == PEN_ENOMEM ? EXIT_INTERNAL : EXIT_BAD_CONFIG;
    conf_free(&conf);
    printf("%s: ok\n", file);
    return EXIT_OK;
}

static int dump_only(const char *file)
{
    struct conf *conf;
    int r = conf_load(file, stderr, &conf);
    if (r < 0)
        return r == PEN_ENOMEM ? EXIT_INTERNAL : EXIT_BAD_CONFIG;
    r = conf_dump(conf, stdout);
    conf_free(&conf);
    return r < 0 ? EXIT_INTERNAL : EXIT_OK;
}

/* Sockets, programs and threads; then the service manager is told. */
static int boot(struct daemon *d, int *ret_code)
{
    *ret_code = EXIT_CANNOT_START;
    int r = needs_check(d->conf);
    if (r < 0)
        return r;
    *ret_code = EXIT_INTERNAL;
    r = pen_loop_new(&(struct pen_loop_options){ .name = "main" }, &d->main);
    if (r == 0)
        r = signals_open(d);
    if (r < 0) {
        log_error("penstockd", "cannot make the main loop: %s", pen_strerror(r));
        return r;
    }
    r = graph_build(d, ret_code);
    if (r < 0)
        return r;
    r = control_open(d);
    if (r < 0) {
        *ret_code = r == PEN_ENOMEM ? EXIT_INTERNAL : EXIT_CANNOT_START;
        return r;
    }
    *ret_code = EXIT_CANNOT_START;
    r = stalls_watch(d);
    return r < 0 ? r : graph_start(d);
}

static int run(const struct conf *conf)
{
    struct daemon d = { .conf = conf, .started = pen_now() };
    d.sample.at = d.started;
    int code;
    int r = boot(&d, &code);
    if (r == 0) {
        log_notice("penstockd",
                   "%s ready: %zu producers, %zu queues, %zu consumer threads, "
                   "%zu publishers",
                   pen_version(), conf->producers_count, conf->queues_count,
                   d.graph.consumers_count, conf->publishers_count);
        watchdog_tell(&d, "READY=1\n");
        watchdog_start(&d);
        r = pen_loop_run(d.main);
        code = r == 0 ? EXIT_OK : EXIT_INTERNAL;
        daemon_log_end(&d);
    }
    pen_watch_stop();
    pen_timer_cancel(&d.drain_timer);
    pen_timer_cancel(&d.last_timer);
    pen_timer_cancel(&d.watchdog_timer);
    graph_free(&d);
    control_free(&d);
    signals_close(&d);
    pen_loop_free(&d.main);
    return code;
}

static int load_and_run(const struct daemon_options *options)
{
    struct conf *conf;
    int r = conf_load(options->config, stderr, &conf);
    if (r < 0)
        return r == PEN_ENOMEM ? EXIT_INTERNAL : EXIT_BAD_CONFIG;
    log_init(options->level, options->format);
    notify_init();
    signals_block();
    allocator_keep_memory();
    umask(0077); /* Sockets get their own mode after bind. */
    int code = run(conf);
    conf_free(&conf);
    return code;
}

static int act(const struct daemon_options *options)
{
    switch (options->action) {
    case ACTION_HELP:
        daemon_options_print_help();
        break;
    case ACTION_VERSION:
    case ACTION_SUMMARY:
        printf("penstockd (Penstock) %s\n", pen_version());
        if (options->action == ACTION_SUMMARY)
            fputs(PEN_CONFIGURE_SUMMARY, stdout);
        break;
    case ACTION_CHECK:
        return check_only(options->config);
    case ACTION_DUMP:
        return dump_only(options->config);
    case ACTION_RUN:
        return load_and_run(options);
    }
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    struct daemon_options options;
    if (stdio_fill() < 0)
        return EXIT_INTERNAL;
    if (!daemon_options_parse(argc, argv, &options))
        return EXIT_BAD_USAGE;
    int code = act(&options);
    if (fflush(stdout) == EOF || ferror(stdout)) {
        fprintf(stderr, "penstockd: standard output could not be written\n");
        return EXIT_INTERNAL;
    }
    return code;
}
