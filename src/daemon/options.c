/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

enum { OPT_DUMP_CONFIG = 256, OPT_LOG_LEVEL, OPT_LOG_FORMAT };

struct option_row {
    int code; /* the short option's letter, or one of the above */
    const char *name, *argument, *help;
};

static const struct option_row rows[] = {
    { 'c', "config", "FILE",
      "read the configuration from FILE (default: " PEN_SYSCONFDIR "/penstock.yaml; -: stdin)" },
    { 't', "check", NULL, "check the configuration, tell every error, and exit" },
    { OPT_DUMP_CONFIG, "dump-config", NULL,
      "print the configuration with every default filled in, and exit" },
    { OPT_LOG_LEVEL, "log-level", "LEVEL", "error, warning, notice, info (the default) or debug" },
    { OPT_LOG_FORMAT, "log-format", "FORMAT",
      "auto (the default: systemd's under systemd, else plain), plain, systemd or json" },
    { 'V', "version", NULL, "print the version; -VV: how it was built, too" },
    { 'h', "help", NULL, "print this help" },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

void daemon_options_print_help(void)
{
    puts("Usage: penstockd [OPTION]...\n"
         "A message broker daemon: takes messages in over nanomsg sockets, works on them on\n"
         "every core, and publishes the results.\n\n"
         "Examples:\n"
         "  penstockd -c penstock.yaml       run in the foreground; SIGTERM drains and ends it\n"
         "  penstockd -t -c penstock.yaml    check a configuration\n\n"
         "Options:");
    for (int i = 0; i < ROWS; i++) {
        const struct option_row *o = &rows[i];
        char left[40];
        int n = o->code < 256 ? snprintf(left, sizeof left, "  -%c, --%s", o->code, o->name)
                              : snprintf(left, sizeof left, "      --%s", o->name);
        if (o->argument != NULL)
            (void)snprintf(left + n, sizeof left - (size_t)n, "=%s", o->argument);
        printf("%-28s  %s\n", left, o->help);
    }
    puts("\nExit status: 0 ended as told; 64 wrong usage; 70 internal error; 71 cannot bind an\n"
         "address or start a child; 78 configuration error.\n\n"
         "penstockd(8) has the whole story, penstock.yaml(5) the configuration.");
}

/* The rows in getopt's forms. */
static void make_getopt(char *ret_letters, struct option *ret_long)
{
    size_t letter = 0;
    ret_letters[letter++] = ':';
    for (int i = 0; i < ROWS; i++) {
        ret_long[i] = (struct option){ .name = rows[i].name,
                                       .has_arg = rows[i].argument != NULL,
                                       .val = rows[i].code };
        if (rows[i].code >= 256)
            continue;
        ret_letters[letter++] = (char)rows[i].code;
        if (rows[i].argument != NULL)
            ret_letters[letter++] = ':';
    }
    ret_letters[letter] = '\0';
    ret_long[ROWS] = (struct option){ 0 };
}

static const char *next_name(const void *ctx, size_t i)
{
    (void)ctx;
    return i < ROWS ? rows[i].name : NULL;
}

static void explain(int result, char **argv)
{
    const char *word = argv[optind - 1];
    if (result == ':') {
        fprintf(stderr, "penstockd: option %s wants an argument\n", word);
    } else {
        const char *near = str_starts(word, "--") ? str_suggest(word + 2, next_name, NULL) : NULL;
        fprintf(stderr, "penstockd: unknown option %s", word);
        if (near != NULL)
            fprintf(stderr, "; did you mean --%s?", near);
        fputc('\n', stderr);
    }
    fputs("Try 'penstockd --help'.\n", stderr);
}

static bool take_level(const char *text, struct daemon_options *o)
{
    if (log_level_parse(text, &o->level) == 0)
        return true;
    fprintf(stderr,
            "penstockd: --log-level: \"%s\" is none of error, warning, notice, info, debug\n", text);
    return false;
}

static bool take_format(const char *text, struct daemon_options *o)
{
    if (log_format_parse(text, &o->format) == 0)
        return true;
    fprintf(stderr, "penstockd: --log-format: \"%s\" is none of auto, plain, systemd, json\n", text);
    return false;
}

static bool take(int code, struct daemon_options *o)
{
    switch (code) {
    case 'c':
        o->config = optarg;
        return true;
    case 't':
        o->action = ACTION_CHECK;
        return true;
    case OPT_DUMP_CONFIG:
        o->action = ACTION_DUMP;
        return true;
    case OPT_LOG_LEVEL:
        return take_level(optarg, o);
    case OPT_LOG_FORMAT:
        return take_format(optarg, o);
    case 'V':
        o->action = o->action == ACTION_VERSION ? ACTION_SUMMARY : ACTION_VERSION;
        return true;
    default:
        o->action = ACTION_HELP;
        return true;
    }
}

bool daemon_options_parse(int argc, char **argv, struct daemon_options *ret_options)
{
    struct daemon_options o = { .config = PEN_SYSCONFDIR "/penstock.yaml",
                                .level = LOG_LEVEL_INFO,
                                .format = LOG_FORMAT_AUTO };
    char letters[2 * ROWS + 2];
    struct option long_options[ROWS + 1];
    make_getopt(letters, long_options);
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, letters, long_options, NULL)) != -1;) {
        if (code == '?' || code == ':') {
            explain(code, argv);
            return false;
        }
        if (!take(code, &o))
            return false;
    }
    if (optind < argc) {
        fprintf(stderr, "penstockd: unexpected argument \"%s\"; a file is named with -c\n",
                argv[optind]);
        return false;
    }
    *ret_options = o;
    return true;
}
