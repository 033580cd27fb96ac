/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/proc.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct proc child;

static void spawn_with(enum proc_stdio stdio, const char *script)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    struct proc_options options = { .argv = argv, .stdio = stdio };
    child = PROC_NONE;
    ck_assert_int_eq(proc_spawn(&options, &child), 0);
}

static void spawn(const char *script)
{
    spawn_with(PROC_PIPES, script);
}

static void wait_for(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    ck_assert_int_eq(poll(&p, 1, -1), 1);
}

/* Everything until the end of the file. */
static const char *read_all(int fd)
{
    static char text[8192];
    size_t bytes = 0;
    for (;;) {
        wait_for(fd, POLLIN);
        ssize_t n = read(fd, text + bytes, sizeof text - 1 - bytes);
        ck_assert_int_ge(n, 0);
        if (n == 0)
            break;
        bytes += (size_t)n;
    }
    text[bytes] = '\0';
    return text;
}

static struct proc_end reap(void)
{
    struct proc_end end = { 0 };
    wait_for(child.fd_end, POLLIN);
    ck_assert_int_eq(proc_reap(&child, &end), 0);
    ck_assert_int_eq(child.pid, 0);
    ck_assert_int_eq(child.fd_end, -1);
    proc_fini(&child);
    return end;
}

static int open_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

START_TEST(talks_over_pipes)
{
    spawn("cat; echo oops >&2; exit 3");
    ck_assert_int_eq(write(child.fd_in, "hello", 5), 5);
    proc_close_in(&child);
    proc_close_in(&child);
    ck_assert_str_eq(read_all(child.fd_out), "hello");
    ck_assert_str_eq(read_all(child.fd_err), "oops\n");
    struct proc_end end = reap();
    ck_assert(!end.signalled);
    ck_assert_int_eq(end.code, 3);
}
END_TEST

START_TEST(talks_over_a_socket)
{
    spawn_with(PROC_SOCKET, "cat");
    ck_assert_int_eq(child.fd_in, child.fd_out);
    ck_assert_int_eq(write(child.fd_in, "hello", 5), 5);
    proc_close_in(&child);
    ck_assert_str_eq(read_all(child.fd_out), "hello");
    ck_assert_int_eq(reap().code, 0);
}
END_TEST

START_TEST(our_ends_do_not_block)
{
    char byte;
    spawn("cat");
    ck_assert_int_eq(read(child.fd_out, &byte, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(read(child.fd_err, &byte, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert(fcntl(child.fd_in, F_GETFL) & O_NONBLOCK);
    proc_close_in(&child);
    (void)reap();
}
END_TEST

START_TEST(runs_until_reaped)
{
    struct proc_end end;
    spawn("read line; exit 0");
    ck_assert_int_eq(proc_reap(&child, &end), -EAGAIN);
    ck_assert_int_ne(child.pid, 0);
    proc_close_in(&child);
    (void)reap();
}
END_TEST

START_TEST(missing_program_is_told)
{
    static const char *const missing[] = { "/nonexistent/program", "no-such-program-in-the-path" };
    const char *const argv[] = { missing[_i], NULL };
    struct proc_options options = { .argv = argv };
    int before = open_fds();
    struct proc p = PROC_NONE;
    ck_assert_int_eq(proc_spawn(&options, &p), PEN_ESPAWN);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(p.pid, 0);
    ck_assert_int_eq(open_fds(), before);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(a_program_that_is_not_executable_is_told)
{
    const char *const argv[] = { "/etc/passwd", NULL };
    struct proc_options options = { .argv = argv };
    struct proc p;
    ck_assert_int_eq(proc_spawn(&options, &p), PEN_ESPAWN);
    ck_assert_int_eq(errno, EACCES);
}
END_TEST

/* For every number of descriptors that is too small, nothing is left behind. */
START_TEST(running_out_of_descriptors_leaves_nothing)
{
    const char *const argv[] = { "true", NULL };
    struct proc_options options = { .argv = argv };
    int before = open_fds(), failures = 0;
    int lowest_free = dup(STDIN_FILENO);
    close(lowest_free);
    for (rlim_t limit = (rlim_t)lowest_free;; limit++) {
        struct rlimit r = { .rlim_cur = limit, .rlim_max = 1024 };
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &r), 0);
        int spawned = proc_spawn(&options, &child), error = errno;
        r.rlim_cur = 1024;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &r), 0);
        if (spawned == 0)
            break;
        ck_assert_int_eq(spawned, PEN_ESPAWN);
        ck_assert_int_eq(error, EMFILE);
        ck_assert_int_eq(open_fds(), before);
        ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
        failures++;
    }
    ck_assert_int_ge(failures, 7); /* three pipes and the pidfd */
    (void)reap();
    ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(ignored_sigchld_is_refused)
{
    const char *const argv[] = { "true", NULL };
    struct proc_options options = { .argv = argv };
    signal(SIGCHLD, SIG_IGN);
    struct proc p;
    ck_assert_int_eq(proc_spawn(&options, &p), PEN_ESPAWN);
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(the_whole_group_is_killed)
{
    /* The grandchild holds the pipe too: its end is the end of the file. */
    spawn("exec 3<&0; cat <&3 & echo ready; wait"); /* a background command has no input of its own */
    char line[8];
    wait_for(child.fd_out, POLLIN);
    ck_assert_int_eq(read(child.fd_out, line, sizeof line), 6);
    proc_kill(&child, SIGKILL);
    ck_assert_str_eq(read_all(child.fd_out), "");
    struct proc_end end = reap();
    ck_assert(end.signalled);
    ck_assert_int_eq(end.code, SIGKILL);
    proc_kill(&child, SIGKILL); /* no effect on anybody */
}
END_TEST

START_TEST(a_zombie_still_leads_its_group)
{
    spawn("exec 3<&0; cat <&3 & exit 0");
    wait_for(child.fd_end, POLLIN);
    proc_kill(&child, SIGKILL);
    ck_assert_str_eq(read_all(child.fd_out), "");
    ck_assert(!reap().signalled);
}
END_TEST

START_TEST(wait_blocks_until_the_end)
{
    spawn("cat");
    proc_kill(&child, SIGTERM);
    struct proc_end end;
    proc_wait(&child, &end);
    ck_assert(end.signalled);
    ck_assert_int_eq(end.code, SIGTERM);
    proc_fini(&child);
}
END_TEST

START_TEST(signals_are_fresh_in_the_child)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    spawn("while read -r name set; do case $name in Sig[BI]*) echo $set;; esac; done </proc/self/status");
    unsigned long blocked, ignored;
    ck_assert_int_eq(sscanf(read_all(child.fd_out), "%lx %lx", &blocked, &ignored), 2);
    ck_assert_uint_eq(blocked, 0);
    /* 32 and 33 are glibc's own; it lets nobody change them. */
    ck_assert_uint_eq(ignored & ~(3ul << 31), 0);
    (void)reap();
}
END_TEST

START_TEST(descriptors_do_not_leak_into_the_child)
{
    int leaky = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    ck_assert_int_ge(leaky, 0);
    spawn("ls /proc/self/fd | tr '\\n' ' '");
    /* 3 is ls's own. */
    ck_assert_str_eq(read_all(child.fd_out), "0 1 2 3 ");
    close(leaky);
    (void)reap();
}
END_TEST

START_TEST(standard_descriptors_that_are_closed_do_no_harm)
{
    int kept[3];
    for (int i = 0; i < 3; i++)
        kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
    for (int i = 0; i < 3; i++)
        close(i);
    const char *const argv[] = { "sh", "-c", "cat; echo err >&2", NULL };
    struct proc_options options = { .argv = argv };
    int r = proc_spawn(&options, &child);
    for (int i = 0; i < 3; i++) {
        dup2(kept[i], i);
        close(kept[i]);
    }
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(write(child.fd_in, "in", 2), 2);
    proc_close_in(&child);
    ck_assert_str_eq(read_all(child.fd_out), "in");
    ck_assert_str_eq(read_all(child.fd_err), "err\n");
    (void)reap();
}
END_TEST

START_TEST(environment_is_given)
{
    const char *const argv[] = { "/bin/sh", "-c", "echo $COLOUR", NULL };
    const char *const env[] = { "COLOUR=blue", NULL };
    struct proc_options options = { .argv = argv, .env = env, .keep_stderr = true };
    ck_assert_int_eq(proc_spawn(&options, &child), 0);
    ck_assert_int_eq(child.fd_err, -1);
    ck_assert_str_eq(read_all(child.fd_out), "blue\n");
    (void)reap();
}
END_TEST

START_TEST(no_descriptor_is_left_over)
{
    int before = open_fds();
    for (int i = 0; i < 20; i++) {
        spawn_with(i % 2 ? PROC_SOCKET : PROC_PIPES, "exit 0");
        (void)reap();
    }
    ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(ends_have_a_text)
{
    char text[PROC_END_TEXT_BYTES];
    ck_assert_str_eq(proc_end_text((struct proc_end){ true, 9 }, text),
                     "killed by signal 9 (Killed)");
    ck_assert_str_eq(proc_end_text((struct proc_end){ true, 60 }, text),
                     "killed by signal 60 (real-time)");
    ck_assert_str_eq(proc_end_text((struct proc_end){ false, 3 }, text), "exited with status 3");
}
END_TEST

static Suite *proc_suite(void)
{
    Suite *s = suite_create("proc");
    TCase *t = tcase_create("proc");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, talks_over_pipes);
    tcase_add_test(t, talks_over_a_socket);
    tcase_add_test(t, our_ends_do_not_block);
    tcase_add_test(t, runs_until_reaped);
    tcase_add_loop_test(t, missing_program_is_told, 0, 2);
    tcase_add_test(t, a_program_that_is_not_executable_is_told);
    tcase_add_test(t, running_out_of_descriptors_leaves_nothing);
    tcase_add_test(t, ignored_sigchld_is_refused);
    tcase_add_test(t, the_whole_group_is_killed);
    tcase_add_test(t, a_zombie_still_leads_its_group);
    tcase_add_test(t, wait_blocks_until_the_end);
    tcase_add_test(t, signals_are_fresh_in_the_child);
    tcase_add_test(t, descriptors_do_not_leak_into_the_child);
    tcase_add_test(t, standard_descriptors_that_are_closed_do_no_harm);
    tcase_add_test(t, environment_is_given);
    tcase_add_test(t, no_descriptor_is_left_over);
    tcase_add_test(t, ends_have_a_text);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(proc_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
