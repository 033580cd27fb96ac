/* SPDX-License-Identifier: Apache-2.0
 *
 * The service manager's watchdog: fed at half its interval, only while no loop has been in one turn for longer than
 * that. A loop that sleeps is healthy. This is the daemon's only periodic timer, and it exists only when the
 * manager asks for it.
 */
#include "daemon/daemon.h"
#include "obs/log.h"
#include "plat/notify.h"

struct health {
    mono_t now;
    span_t limit;
    bool fresh;
};

static void look_at(struct part *part, void *arg)
{
    struct health *h = arg;
    span_t busy = loop_busy_for(part->loop, h->now);
    if (busy.ns <= h->limit.ns)
        return;
    h->fresh = false;
    log_error(part->subject, "its loop has been busy for %lld ms: the watchdog is not fed",
              (long long)(busy.ns / 1000000));
}

void watchdog_tell(struct daemon *d, const char *first_lines)
{
    if (!notify_wanted())
        return;
    status_sample(d);
    int r = notify_send("%sSTATUS=%s: %.0f in/s, %.0f out/s, %.0f failed/s", first_lines,
                        daemon_state_word(d->state), d->rates.in, d->rates.out, d->rates.failed);
    if (r < 0)
        log_warning("penstockd", "the service manager could not be told: %s", pen_strerror(r));
}

static void on_watchdog(struct pen_loop *loop, void *arg, int status)
{
    struct daemon *d = arg;
    if (status != 0)
        return;
    span_t half = { notify_watchdog().ns / 2 };
    struct health h = { .now = pen_now(), .limit = half, .fresh = true };
    graph_each_part(&d->graph, d->conf, look_at, &h);
    if (h.fresh)
        watchdog_tell(d, "WATCHDOG=1\n");
    if (pen_loop_call_later(loop, &d->watchdog_timer, half, on_watchdog, d) < 0)
        log_error("penstockd", "the watchdog cannot be fed any more: out of memory");
}

void watchdog_start(struct daemon *d)
{
    if (notify_watchdog().ns > 0)
        on_watchdog(d->main, d, 0);
}
