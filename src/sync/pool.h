/* SPDX-License-Identifier: MIT */
/*
 * pool.h - the inside of a resource pool: pool.c lends and takes back, pool_life.c makes and ends
 * pools, pool_keep.c is the keeper, a task that opens, checks, closes and reports;
 * pool_report.c is what it says.
 *
 * Life of an item; a record exists in each of these states, and counts against max
 *
 *      open starts      succeeded               acquire
 *   (nothing) --> OPENING ------> IDLE <-----> CHECKING    OUT --> RETURNING --> IDLE | OUT
 *                    |  \______________________________/    ^          |
 *                    |   IDLE, OPENING, CHECKING and RETURNING go to the first in line: OUT
 *                    `-> (nothing): failed                             |
 *                        IDLE, OPENING, CHECKING, RETURNING -------> CLOSING --> (nothing)
 *
 * Lock        pool.lock guards everything in the pool and its items but what a state gives to
 *             one task: value, and the callbacks. No callback runs under it.
 * Frees       The pool is freed by tt_pool_destroy() after its keeper ended. The keeper ends
 *             when no item is left and nobody is in line; whoever takes the last item or the
 *             last place away touches the pool last when it unlocks, and wakes others after:
 *             wakes touch waiters, never the pool.
 */
#ifndef TTI_SYNC_POOL_H
#define TTI_SYNC_POOL_H

#include <tutti/pool.h>
#include <tutti/select.h>

#include "base/list.h"
#include "base/spin.h"
#include "scope/scope.h"
#include "wait/wait.h"

enum tti_item_state {
	TTI_ITEM_OPENING,
	TTI_ITEM_IDLE,
	TTI_ITEM_CHECKING,
	TTI_ITEM_OUT,
	TTI_ITEM_RETURNING,
	TTI_ITEM_CLOSING,
	TTI_ITEM_STATES
};

#define TTI_POOL_NAME_MAX 32
#define TTI_POOL_FRAMES_MAX 12

/* Who holds an item, for reports; written when it is lent. */
struct tti_borrower {
	uint64_t id;
	char name[TTI_POOL_NAME_MAX];        /* copied: the task may end before the lease does */
	const char *spawn_site, *site;       /* static strings; site: of the acquire */
	int64_t since;                       /* monotonic ns */
	unsigned n_frames;
	void *frames[TTI_POOL_FRAMES_MAX];   /* return addresses, innermost first; only with leak_after */
};

struct tti_item {
	struct tti_list link;                /* IDLE: idle; OUT: out, late; CLOSING: retired, stranded */
	struct tti_list bucket_link;         /* OUT: by value */
	struct tti_pool *pool;
	void *value;                         /* the user's; set by open */
	uint8_t state;                       /* enum tti_item_state */
	int64_t expires;                     /* monotonic ns, TT_NEVER */
	int64_t since;                       /* monotonic ns: OPENING: its begin; IDLE: since when */
	struct tti_borrower borrower;
};

/* What a place in line carries, in its node's scratch. */
struct tti_pool_place {
	struct tti_item *item;               /* what it got; NULL else */
	int64_t since;                       /* monotonic ns */
	struct tti_error err;                /* why it got a code */
};

struct tti_pool {
	tti_spin lock;
	int closed;                          /* 0; else nothing is lent, and who comes gets this code */
	bool destroying;                     /* the keeper ends once nothing is left */
	bool kicked;                         /* the keeper has something to look at */
	bool ended;                          /* the keeper did, or never began */
	unsigned max;
	unsigned count[TTI_ITEM_STATES];     /* items in each state */
	unsigned n_items;                    /* their sum */
	unsigned n_waiting;                  /* nodes linked in line */
	unsigned n_places;                   /* and those unlinked whose owner has not left yet */
	struct tti_list idle;                /* the last one used in front */
	struct tti_list out, late;           /* lent, oldest in front; late: reported as leaks */
	struct tti_list retired;             /* CLOSING: to be closed by a task of its own */
	struct tti_list stranded;            /* CLOSING: there was no task for it, the keeper does it */
	struct tti_list line;                /* nodes of those who wait for an item */
	struct tti_list drain_nodes;         /* nodes of those who wait until nothing is left */
	struct tti_list end_nodes;           /* nodes of those who wait for the keeper's end */
	struct tti_list keeper_node;         /* the keeper's own node while it waits */
	int64_t keeper_until;                /* monotonic ns: when it looks again by itself */
	unsigned failures;                   /* opens in a row that failed; those begun together count once */
	int64_t failed_at;                   /* monotonic ns of the last one counted */
	int last_failure;                    /* the code of the last of them; 0 none yet */
	int64_t retry_at;                    /* monotonic ns: no open before this */
	int64_t slow_said_at;                /* monotonic ns: when a slow acquire was reported last */
	int64_t name_at;                     /* monotonic ns: destroy names those who hold items */
	tt_pool_stats stats;                 /* what only grows; the counts are filled in when asked */
	tt_pool_options o;                   /* as given; times are TT_NEVER where they were 0 */
	struct tti_list *buckets;            /* of lent items, by value */
	unsigned n_buckets;                  /* a power of two */
	struct tti_scope scope;              /* around the keeper: nothing but destroy ends it */
	char name[TTI_POOL_NAME_MAX];
};

static inline struct tti_pool *tti_pool_of(tt_pool *pool, const char *call)
{
	TT_REQUIRE(pool != NULL, "%s: the pool is NULL", call);
	return (struct tti_pool *)(void *)pool;
}

/* Starts the keeper; fills scope. Its end is announced through end_nodes. */
TT_MUST_USE int tti_pool_keeper_start(struct tti_pool *p, const char *site);

/* ---- for both, under the lock; woken collects the nodes to wake once it is released ---- */

void tti_pool_move(struct tti_item *it, enum tti_item_state to);
/* A clean item in no list goes to the first in line, else to the idle ones; closed instead if it
 * is too old, too much, or the pool is closed. */
void tti_pool_place(struct tti_item *it, struct tti_list *woken);
/* An item in no list is to be closed; the keeper hears of it. */
void tti_pool_retire(struct tti_item *it, struct tti_list *woken);
/* The record goes out of the books; freed by the caller after the lock. */
void tti_pool_forget(struct tti_item *it, struct tti_list *woken);
/* The first in line gets a code, and the chain behind it if there is one; false: nobody waits. */
bool tti_pool_refuse_first(struct tti_pool *p, int code, struct tti_error *err, struct tti_list *woken);
/* The keeper shall look around now; or at this time at the latest. */
void tti_pool_kick(struct tti_pool *p, struct tti_list *woken);
void tti_pool_remind(struct tti_pool *p, int64_t when, struct tti_list *woken);
/* Nothing more is lent: who comes, and who is in line, gets the code. */
void tti_pool_close_with(struct tti_pool *p, int code, struct tti_list *woken);
/* How many opens are missing for those in line and for min_idle; back-off not considered. */
unsigned tti_pool_wanted(const struct tti_pool *p);

static inline unsigned tti_pool_min_idle(const struct tti_pool *p)
{
	return p->o.min_idle < p->max ? p->o.min_idle : p->max;
}

/* check_after 0: always, even where `now` is what this worker saw before another freed the item. */
static inline bool tti_pool_needs_check(const struct tti_pool *p, const struct tti_item *it, int64_t now)
{
	return p->o.check != NULL && (p->o.check_after <= 0 || now - it->since >= p->o.check_after);
}

/* it was lent to the caller just now: with leak_after, remembers the stack. Takes the lock. */
void tti_pool_note_stack(struct tti_item *it);
/* "tutti: pool NAME: ..." on stderr; n frames below it. */
TT_PRINTF(4, 5) void tti_pool_say(const struct tti_pool *p, void *const *frames, unsigned n, const char *fmt, ...);

#endif
