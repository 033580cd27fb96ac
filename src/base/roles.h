/* SPDX-License-Identifier: Apache-2.0
 *
 * Which thread a function belongs to, said in its prototype and checked by clang's thread-safety
 * analysis (./configure --enable-clang-tsa). Under other compilers the words are empty, and the check
 * that is left is the one at run time: loop_assert_here().
 */
#ifndef BASE_ROLES_H
#define BASE_ROLES_H

#if defined(PEN_CLANG_TSA) && defined(__clang__)
struct __attribute__((capability("role"))) role_token {
    char unused;
};
extern struct role_token role_loop;
#define ON_LOOP __attribute__((requires_capability(role_loop)))
#define ASSERTS_ON_LOOP __attribute__((assert_capability(role_loop)))
#define CAPABILITY(name) __attribute__((capability(name)))
#define LOCKED(x) __attribute__((requires_capability(x)))
#define ACQUIRES(x) __attribute__((acquire_capability(x)))
#define RELEASES(x) __attribute__((release_capability(x)))
#define NO_TSA __attribute__((no_thread_safety_analysis))
#else
#define ON_LOOP
#define ASSERTS_ON_LOOP
#define CAPABILITY(name)
#define LOCKED(x)
#define ACQUIRES(x)
#define RELEASES(x)
#define NO_TSA
#endif

/* Any thread may call it; the function says what it locks, if anything. */
#define ANY_THREAD

#endif
