/* SPDX-License-Identifier: Apache-2.0
 *
 * A REQ socket, one JSON object there and one back (proto/control.h).
 */
#include "cli/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <penstock/time.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/probe.h"
#include "cli/signals.h"

enum { ANSWER_BYTES_MAX = 64 << 20 };

static int unreachable(const char *url, int error)
{
    char safe[256];
    (void)printable(url, safe, sizeof safe);
    if (error == -EINTR)
        return 128 + signals_got();
    if (error == -ETIMEDOUT) {
        say("no connection to %s within --timeout", safe);
        return EXIT_TIMEOUT;
    }
    if (error == -EACCES || error == -EPERM) {
        say("no permission to talk to the daemon at %s; use its user or group, or ask who runs it",
            safe);
        return EXIT_UNREACHABLE;
    }
    say("no daemon answers at %s: %s", safe, client_strerror(error));
    say("start one with 'penstockd -c FILE', or say with --control or PENSTOCK_CONTROL where it is");
    return EXIT_UNREACHABLE;
}

static int wait_for(int fd, mono_t deadline)
{
    struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
                            { .fd = signals_fd(), .events = POLLIN } };
    while (mono_before(pen_now(), deadline)) {
        int64_t ns = mono_since(deadline, pen_now()).ns;
        struct timespec left = { .tv_sec = ns > 0 ? ns / NS_PER_S : 0,
                                 .tv_nsec = ns > 0 ? ns % NS_PER_S : 0 };
        int n = ppoll(fds, 2, &left, NULL);
        if (signals_got() != 0)
            return 128 + signals_got();
        if (n > 0)
            return EXIT_OK;
    }
    say("the daemon did not answer within --timeout");
    return EXIT_TIMEOUT;
}

static int parse_answer(const struct client_message *m, json_t **ret_answer)
{
    json_error_t error;
    json_t *answer = json_loadb(m->data, m->bytes, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(answer) && json_is_boolean(json_object_get(answer, "ok"))) {
        *ret_answer = answer;
        return EXIT_OK;
    }
    json_decref(answer);
    say("what answers there is no penstockd: it sent %zu bytes that are no answer of one", m->bytes);
    return EXIT_UNREACHABLE;
}

static int exchange(struct client *c, const char *text, mono_t deadline, json_t **ret_answer)
{
    struct client_message m;
    int r = client_send(c, text, strlen(text));
    if (r < 0) {
        say("cannot send: %s", client_strerror(r));
        return EXIT_INTERNAL;
    }
    while ((r = client_recv(c, &m)) == PEN_EEMPTY) {
        int code = wait_for(c->recv_fd, deadline);
        if (code != EXIT_OK)
            return code;
    }
    if (r < 0) {
        say("cannot receive: %s", client_strerror(r));
        return EXIT_INTERNAL;
    }
    int code = parse_answer(&m, ret_answer);
    client_message_free(&m);
    return code;
}

static int ask(const char *url, const char *text, mono_t deadline, json_t **ret_answer)
{
    struct client c;
    int r = client_open(SOCKET_REQ, CLIENT_NANOMSG, &c);
    if (r < 0) {
        say("cannot open a socket: %s", client_strerror(r));
        return EXIT_INTERNAL;
    }
    r = client_limit(&c, ANSWER_BYTES_MAX);
    if (r == 0)
        r = client_connect(&c, url);
    int code = r < 0 ? unreachable(url, r) : exchange(&c, text, deadline, ret_answer);
    client_close(&c);
    return code;
}

int control_ask(const char *url, json_t *request, span_t timeout, json_t **ret_answer)
{
    mono_t deadline = mono_after(pen_now(), timeout);
    const char *fault = client_address_fault(url, false);
    if (fault != NULL) {
        say("the control address will not do: %s", fault);
        return EXIT_USAGE;
    }
    int r = probe_address(url, deadline);
    if (r < 0)
        return unreachable(url, r);
    char *text = json_dumps(request, JSON_COMPACT);
    if (text == NULL) {
        say("the queue's name is not UTF-8, or memory is short");
        return EXIT_USAGE;
    }
    int code = ask(url, text, deadline, ret_answer);
    free(text);
    return code;
}
