/* Ranks for the tests of groups: processes forked on this machine, each of which runs a function in a group.
 */
#ifndef VAGUS_TESTS_CORE_GROUP_RANKS_H
#define VAGUS_TESTS_CORE_GROUP_RANKS_H

#include "core/group/group.h"
#include "tests/support/support.h"

/* In a rank: prints the claim with the latest cause and ends the process with 1. */
#define CLAIM(claim)                                                                                         \
    do {                                                                                                     \
        if (!(claim)) ranks_fail(#claim, __FILE__, __LINE__);                                                \
    } while (0)
void ranks_fail(const char *claim, const char *file, int line) __attribute__((noreturn));

/* The call must fail so, with a cause that contains `text`. */
#define CLAIM_FAILS(expression, status, text)                                                                \
    ranks_claim_fails((expression), (status), (text), __FILE__, __LINE__)
void ranks_claim_fails(vg_status got, vg_status wanted, const char *text, const char *file, int line);

typedef struct ranks_options {
    double timeout, start_timeout; /* 0: 60 s */
    int lost;      /* a rank that is killed or stopped, so that its end does not matter; 0: none */
    bool unopened; /* the function opens a group itself */
} ranks_options;

/* Runs `body` in `size` processes; the test fails unless all of them return, within a minute (times the
 * patience that sanitizers need). `body` gets NULL for an unopened group and returns what the group is closed
 * with. */
typedef vg_status (*ranks_body)(vg_group *group, const vg_place *place);
void ranks_run(int size, ranks_body body, const ranks_options *options);

/* This process is one of the ranks that mpirun started: runs `body` in a group over what TEST_TRANSPORT says
 * or `auto` takes, which must be `transport`, and says so at rank 0. Returns what main() does. */
int ranks_be_of_mpirun(const char *transport, double timeout, ranks_body body);

/* Comes back when every rank of the run has called it as often as this one: outside the group, for a rank may
 * be past a collective that another is still in, and what it does next would reach the other there. Ranks of
 * mpirun meet in the file TEST_BOARD, of zeros. */
void ranks_meet(void);

/* Factor for time limits: 1, or more under sanitizers. */
double ranks_patience(void);
double ranks_now(void);

#endif
