/* SPDX-License-Identifier: MIT */
/*
 * pool_time_test.c - what a resource pool does by the clock: idle time, lifetime, back-off, the
 * reports of slow waits, of leaks, and of borrowers that destroy waits for.
 *
 * test-on: sim1 sim4
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sync/pool_testkit.h"
#include "testing/stderr_testkit.h"

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

#define HAS(text, part) (strstr((text), (part)) != NULL)

/* What comes to stderr while fn runs; it fits a pipe. */
static const char *stderr_of(int (*fn)(void *), void *arg, int *ret_rc)
{
	struct stderr_capture c = stderr_capture_begin();

	*ret_rc = fn(arg);
	return stderr_capture_end(&c);
}

/* ---- how many are kept, and for how long ---- */

/* n items that were all lent at once and are all free now. */
static int fill(thing_pool *p, unsigned n)
{
	struct thing *t[16];

	for (unsigned i = 0; i < n; i++)
		TT_TRY(tt_pool_acquire(p, &t[i]));
	for (unsigned i = 0; i < n; i++)
		tt_pool_release(p, t[i], TT_POOL_KEEP);
	return 0;
}

/* min_idle items are opened ahead, and opened again when one is taken or breaks. */
TT_TEST(pool_time, min_idle_is_kept)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	struct thing *t;
	tt_pool_options o;

	shop_init(&s);
	s.open_takes = TT_MS(3);
	o = shop_options(&s, 4);
	o.min_idle = 2;
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(tt_sleep(TT_MS(10)));
	EXPECT_EQ(stats_of(p).idle, 2u);
	REQUIRE_OK(tt_pool_acquire(p, &t));
	REQUIRE_OK(tt_sleep(TT_MS(10)));
	EXPECT_EQ(s.opens, 2u); /* nobody asked the keeper: one is still free */
	tt_pool_release(p, t, TT_POOL_CLOSE);
	REQUIRE_OK(tt_sleep(TT_MS(10)));
	EXPECT_EQ(stats_of(p).idle, 2u);
	EXPECT_EQ(s.opens, 3u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* What is free for too long is closed, the longest idle first, but for min_idle. */
TT_TEST(pool_time, idle_items_are_closed)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 5);
	o.min_idle = 1;
	o.idle_max = TT_SEC(10);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(fill(p, 5));
	REQUIRE_OK(tt_sleep(TT_SEC(9)));
	EXPECT_EQ(stats_of(p).idle, 5u);
	REQUIRE_OK(fill(p, 2)); /* two of them are used again */
	REQUIRE_OK(tt_sleep(TT_SEC(2)));
	EXPECT_EQ(stats_of(p).idle, 2u);
	REQUIRE_OK(tt_sleep(TT_SEC(10)));
	EXPECT_EQ(stats_of(p).idle, 1u);
	REQUIRE_OK(tt_sleep(TT_HOUR(1)));
	EXPECT_EQ(stats_of(p).idle, 1u);
	EXPECT_EQ(s.opens, 5u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* Times that nobody lives to see are never, however near they are to the end of the clock. */
TT_TEST(pool_time, immense_times_are_never)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	struct thing *t;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 2);
	o.idle_max = o.lifetime_max = o.open_max = o.slow_acquire = o.leak_after = TT_NEVER - 1;
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(fill(p, 2));
	REQUIRE_OK(tt_sleep(TT_HOUR(1)));
	REQUIRE_OK(tt_pool_acquire(p, &t));
	REQUIRE_OK(tt_sleep(TT_HOUR(1)));
	tt_pool_release(p, t, TT_POOL_KEEP);
	EXPECT_EQ(s.closes, 0u);
	EXPECT_EQ(s.opens, 2u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* When each item was closed is not seen here: when it was gone is. */
static int watch_ages(struct shop *s, thing_pool *p, int64_t life, unsigned n)
{
	int64_t first = TT_NEVER, last = 0;
	unsigned gone = 0;

	TT_TRY(fill(p, n));
	for (int64_t t0 = tt_now(); gone < n && tt_now() < t0 + 2 * life;) {
		TT_TRY(tt_sleep(TT_MS(100)));
		for (; gone < s->closes; gone++) {
			first = tt_now() - t0 < first ? tt_now() - t0 : first;
			last = tt_now() - t0;
		}
	}
	EXPECT_GE(first, life - life / 8);
	EXPECT_LE(last, life + TT_MS(101));
	EXPECT_GT(last - first, life / 100); /* not all at once */
	return 0;
}

/* A lifetime ends between seven eighths and the whole of lifetime_max, not for all at once. */
TT_TEST(pool_time, lifetime_is_bounded_and_spread)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 8);
	o.lifetime_max = TT_SEC(80);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(watch_ages(&s, p, TT_SEC(80), 8));
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* An item that is never idle has a lifetime too: it is closed when it comes back. */
TT_TEST(pool_time, lifetime_holds_for_busy_items)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	struct thing *t;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.lifetime_max = TT_SEC(10);
	REQUIRE_OK(tt_pool_create(&o, &p));
	for (int i = 0; i < 100; i++) {
		REQUIRE_OK(tt_pool_acquire(p, &t));
		EXPECT_LE(tt_now() - t->opened_at, TT_SEC(10));
		REQUIRE_OK(tt_sleep(TT_SEC(1)));
		tt_pool_release(p, t, TT_POOL_KEEP);
	}
	EXPECT_GE(s.opens, 10u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

static TT_TASK(gets_a_young_one, (thing_pool *, p))
{
	TT_LEASE(t, p);
	TT_TRY(tt_pool_acquire(p, &t));
	EXPECT_EQ(t->number, 2);
	return 0;
}

/* The first item's lifetime ends between 8.75 and 10 s, while the pool works on it. */
static void outlived_in_a_hook(struct shop *s, const tt_pool_options *o, bool in_line)
{
	struct thing *t, *u;
	thing_pool *p;

	REQUIRE_OK(tt_pool_create(o, &p));
	REQUIRE_OK(tt_pool_acquire(p, &t));
	if (o->returned == NULL)
		tt_pool_release(p, t, TT_POOL_KEEP);
	REQUIRE_OK(tt_sleep(TT_MS(8500)));
	{
		TT_GROUP(g);
		if (in_line)
			tt_go_with(&g, &anywhere, gets_a_young_one, p);
		REQUIRE_OK(tt_test_wait_all_parked());
		if (o->returned != NULL)
			tt_pool_release(p, t, TT_POOL_KEEP);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	REQUIRE_OK(tt_pool_acquire(p, &u));
	EXPECT_EQ(u->number, 2);
	EXPECT_EQ(s->things[0].closes, 1u);
	tt_pool_release(p, u, TT_POOL_KEEP);
	tt_pool_destroy(p);
}

/* One whose lifetime ends while it is cleaned, or checked, is closed and not lent again, whether
 * somebody stands in line for it or not. */
TT_TEST(pool_time, a_lifetime_ends_in_a_hook)
{
	/* law 5 */
	for (int i = 0; i < 4; i++) {
		tt_pool_options o;
		struct shop s;

		shop_init(&s);
		s.return_takes = s.check_takes = TT_SEC(2);
		o = shop_options(&s, 1);
		o.lifetime_max = TT_SEC(10);
		if (i / 2 == 0)
			o.returned = shop_returned;
		else
			o.check = shop_check;
		outlived_in_a_hook(&s, &o, i % 2 == 1);
		EXPECT_GE(i / 2 == 0 ? s.returns : s.checks, 1u);
		shop_fini(&s);
	}
}

#define SHORT_LIFE TT_MS(20)

/* Looks every millisecond; what it gets at once is no older than it may be. */
static TT_TASK(looks_in, (thing_pool *, p), (unsigned *, ret_lent))
{
	for (int i = 0; i < 200; i++) {
		struct thing *t;

		TT_TRY(tt_sleep(TT_MS(1)));
		if (tt_pool_try_acquire(p, &t) < 0)
			continue;
		++*ret_lent;
		EXPECT_LT(tt_now() - t->opened_at, SHORT_LIFE);
		take_hold(t);
		let_go(t);
		tt_pool_release(p, t, TT_POOL_KEEP);
	}
	return 0;
}

static TT_TASK(short_lives, (struct shop *, s), (unsigned *, ret_lent))
{
	tt_pool_options o = shop_options(s, 3);
	thing_pool *p;
	int rc;

	o.lifetime_max = SHORT_LIFE;
	o.min_idle = 3;
	TT_TRY(tt_pool_create(&o, &p));
	{
		TT_GROUP(g);
		for (int i = 0; i < 4; i++)
			tt_go_with(&g, &anywhere, looks_in, p, ret_lent);
		rc = tt_group_end(&g, 0);
	}
	tt_pool_destroy(p);
	return rc;
}

/* However late the keeper is that would have closed it (no turn for its worker, a late timer, a
 * jump of the clock), an item past its lifetime is not lent. */
TT_TEST_PLAIN(pool_time, nothing_is_lent_past_its_lifetime)
{
	/* laws 4, 5 */
	unsigned lent = 0;

	for (unsigned i = 0; i < tt_test_seeds(25); i++) {
		tt_sim_options o = { .seed = tt_test_seed() + i, .workers = tt_test_workers(), .quiet = true };
		struct shop s;

		o.faults = TT_FAULT_BIT(TT_FAULT_STARVATION) | TT_FAULT_BIT(TT_FAULT_LATE_TIMER) |
		           TT_FAULT_BIT(TT_FAULT_CLOCK_JUMP);
		shop_init(&s);
		EXPECT_OK(tt_sim_run_with(&o, short_lives, &s, &lent));
		shop_fini(&s);
	}
	EXPECT_GT(lent, 0u);
	tt_test_note("%u lent", lent);
}

/* Its time is up before the keeper, who sleeps in ticks, has seen it: it is not lent any more. */
TT_TEST(pool_time, what_has_expired_is_not_lent)
{
	/* laws 4, 5 */
	struct thing *t = NULL;
	unsigned lent = 0;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.min_idle = 1;
	o.lifetime_max = TT_US(10);
	REQUIRE_OK(tt_pool_create(&o, &p));
	while (s.closes < 20) {
		if (tt_pool_try_acquire(p, &t) == 0) {
			EXPECT_LT(tt_now() - t->opened_at, TT_US(10));
			tt_pool_release(p, t, TT_POOL_KEEP);
			lent++;
		}
		REQUIRE_OK(tt_yield());
	}
	EXPECT_GT(lent, 0u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* check_after leaves out what was free only just now. */
TT_TEST(pool_time, checks_what_was_idle_for_a_while)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.check = shop_check;
	o.check_after = TT_SEC(1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(fill(p, 1));
	REQUIRE_OK(fill(p, 1));
	EXPECT_EQ(s.checks, 0u);
	REQUIRE_OK(tt_sleep(TT_SEC(2)));
	REQUIRE_OK(fill(p, 1));
	EXPECT_EQ(s.checks, 1u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- nobody can open ---- */

static TT_TASK(tries, (thing_pool *, p), (int, code))
{
	TT_LEASE(t, p);
	EXPECT_CODE(TT_WITHIN(TT_SEC(20), tt_pool_acquire(p, &t)), code);
	return 0;
}

struct tally {
	tt_mutex lock;
	unsigned served, refused;
};

static TT_TASK(tries_and_tells, (thing_pool *, p), (struct tally *, tally))
{
	int rc;

	TT_LEASE(t, p);
	rc = TT_WITHIN(TT_SEC(20), tt_pool_acquire(p, &t));
	EXPECT_TRUE(rc == 0 || rc == TT_ECONNREFUSED);
	TT_LOCK(&tally->lock);
	tally->served += rc == 0;
	tally->refused += rc == TT_ECONNREFUSED;
	return 0;
}

static int down_and_up(struct shop *s, thing_pool *p, struct tally *tally)
{
	TT_GROUP(g);
	for (int i = 0; i < 40; i++)
		tt_go_with(&g, &anywhere, tries_and_tells, p, tally);
	TT_TRY_IN(&g, tt_sleep(TT_MS(5)));
	EXPECT_EQ(s->failed, 8u); /* as many as there is room for, at once */
	s->live_max = 0;
	TT_TRY_IN(&g, tt_sleep(TT_MS(180)));
	EXPECT_GE(s->failed, 11u);
	EXPECT_EQ(s->live_max, 1u);
	return tt_group_end(&g, 0);
}

/* While nothing can be opened there is one attempt at a time, with growing pauses; each tells one
 * waiter, and the others are served once one succeeds. */
TT_TEST(pool_time, one_attempt_at_a_time_while_nobody_can_open)
{
	/* law 5 */
	struct tally tally = { .served = 0 };
	int64_t before = tt_now();
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	tt_mutex_init(&tally.lock);
	s.open_takes = TT_US(100);
	s.open_rc = TT_ECONNREFUSED;
	s.fail_first = 13;
	o = shop_options(&s, 8);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(down_and_up(&s, p, &tally));
	EXPECT_EQ(tally.refused, 13u);
	EXPECT_EQ(tally.served, 27u);
	/* At least half of 10, 20, 40, 80, 160, 320 ms, at most all of it. */
	EXPECT_GE(tt_now() - before, TT_MS(315));
	EXPECT_LE(tt_now() - before, TT_MS(640));
	tt_pool_destroy(p);
	tt_mutex_fini(&tally.lock);
	shop_fini(&s);
}

/* For min_idle alone it goes on trying, about once a second. */
TT_TEST(pool_time, goes_on_trying_for_min_idle)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	s.open_rc = TT_ECONNREFUSED;
	o = shop_options(&s, 4);
	o.min_idle = 3;
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(tt_sleep(TT_SEC(100)));
	EXPECT_GE(s.failed, 100u);
	EXPECT_LE(s.failed, 215u);
	s.open_rc = 0;
	REQUIRE_OK(tt_sleep(TT_SEC(2)));
	EXPECT_EQ(stats_of(p).idle, 3u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- figures and reports ---- */

static int waits_two_seconds(void *arg)
{
	thing_pool *p = arg;
	struct thing *t;
	tt_task *w;
	int rc;

	TT_TRY(tt_pool_acquire(p, &t));
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go_task(&g, &w, tries, p, 0));
	TT_TRY_IN(&g, tt_sleep(TT_SEC(2)));
	tt_pool_release(p, t, TT_POOL_KEEP);
	rc = tt_task_join(w);
	tt_task_put(w);
	return tt_group_end(&g, rc);
}

/* Waits are counted, and a long one is reported with the task and how the pool stood. */
TT_TEST(pool_time, slow_waits_are_reported)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;
	const char *text;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.slow_acquire = TT_SEC(1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(fill(p, 1));
	text = stderr_of(waits_two_seconds, p, &rc);
	EXPECT_OK(rc);
	EXPECT_EQ(count_of(text, "tutti: pool shop: "), 1u);
	EXPECT_TRUE(HAS(text, "tutti: pool shop: tries#") && HAS(text, " waited 200") && HAS(text, "pool_time_test.c:"));
	EXPECT_TRUE(HAS(text, "of 1 lent"));
	EXPECT_GE(stats_of(p).wait_max, TT_SEC(2));
	EXPECT_GE(stats_of(p).wait_total, stats_of(p).wait_max);
	EXPECT_EQ(stats_of(p).waited, 2u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

static int waits_under_a_long_name(void *arg)
{
	static char name[3000];
	thing_pool *p = arg;
	struct thing *t;

	memset(name, 'n', sizeof(name) - 1);
	TT_TRY(tt_pool_acquire(p, &t));
	TT_GROUP(g);
	tt_go_with(&g, &(tt_child_options){ .name = name }, tries, p, 0);
	TT_TRY_IN(&g, tt_sleep(TT_SEC(2)));
	tt_pool_release(p, t, TT_POOL_KEEP);
	return tt_group_end(&g, 0);
}

/* What does not fit a report is cut off, and it is a whole line all the same. */
TT_TEST(pool_time, a_report_that_is_too_long_is_cut)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;
	const char *text;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.slow_acquire = TT_SEC(1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(fill(p, 1));
	text = stderr_of(waits_under_a_long_name, p, &rc);
	EXPECT_OK(rc);
	EXPECT_TRUE(HAS(text, "tutti: pool shop: nnnn"));
	EXPECT_EQ(count_of(text, "\n"), 1u);
	EXPECT_EQ(text[strlen(text) - 1], '\n');
	EXPECT_LT(strlen(text), 3000u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

static TT_TASK(forgets_to_return, (thing_pool *, p), (struct thing **, ret))
{
	return tt_pool_acquire(p, ret);
}

static int leaks_one(void *arg)
{
	thing_pool *p = arg;
	struct thing *t = NULL;
	tt_child_options named = { .name = "forgetful" };

	TT_GROUP(g);
	tt_go_with(&g, &named, forgets_to_return, p, &t);
	TT_TRY_IN(&g, tt_group_drain(&g)); /* the task has ended, its item is still out */
	TT_TRY_IN(&g, tt_sleep(TT_SEC(120)));
	tt_pool_release(p, t, TT_POOL_KEEP);
	return tt_group_end(&g, 0);
}

/* An item that is out for too long is reported once: who, spawned where, acquired where, and the
 * stack that did. */
TT_TEST(pool_time, leaks_are_reported_once)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;
	const char *text;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 2);
	o.leak_after = TT_SEC(30);
	REQUIRE_OK(tt_pool_create(&o, &p));
	text = stderr_of(leaks_one, p, &rc);
	EXPECT_OK(rc);
	EXPECT_EQ(count_of(text, "has held an item for"), 1u);
	EXPECT_TRUE(HAS(text, "tutti: pool shop: forgetful#"));
	EXPECT_TRUE(HAS(text, "(spawned at ") && HAS(text, "has held an item for 300"));
	EXPECT_TRUE(HAS(text, "pool_time_test.c:"));
	EXPECT_TRUE(HAS(text, "    #0 ") && HAS(text, "    #1 "));
	EXPECT_EQ(stats_of(p).leaks_reported, 1u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

static int leaks_from_a_closed_pool(void *arg)
{
	thing_pool *p = arg;
	struct thing *t;

	TT_TRY(tt_pool_acquire(p, &t));
	tt_pool_close(p);
	TT_TRY(tt_sleep(TT_SEC(120)));
	tt_pool_release(p, t, TT_POOL_KEEP);
	return 0;
}

/* Closing the pool takes no item from its borrower, and hides no leak. */
TT_TEST(pool_time, a_closed_pool_reports_its_leaks)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;
	const char *text;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 2);
	o.leak_after = TT_SEC(30);
	REQUIRE_OK(tt_pool_create(&o, &p));
	text = stderr_of(leaks_from_a_closed_pool, p, &rc);
	EXPECT_OK(rc);
	EXPECT_EQ(count_of(text, "has held an item for 300"), 1u);
	EXPECT_EQ(stats_of(p).leaks_reported, 1u);
	EXPECT_OK(tt_pool_drain(p)); /* what came back is closed */
	EXPECT_EQ(s.closes, 1u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- the stack of who acquired ---- */

struct odd_frame {
	thing_pool *p;
	struct thing *t;
	uintptr_t ret, off; /* the frame's return address; what its pointer is beside the frame */
};

static __attribute__((noinline)) int acquire_odd(void *arg)
{
	struct odd_frame *f = arg;

	return tt_pool_acquire(f->p, &f->t);
}

/* Calls acquire_odd() with a frame pointer as code that was built without frame pointers leaves
 * it: to a frame on the stack without a caller, whose return address is f->ret; or beside that. */
static int call_with_odd_frame(struct odd_frame *f)
{
	void *arg = f;
#if defined(__x86_64__)
	int rc;

	__asm__ volatile("movq %%rsp, %%r12\n\t"
	                 "movq %%rbp, %%rbx\n\t"
	                 "subq $256, %%rsp\n\t" /* below what the compiler keeps under the stack */
	                 "andq $-64, %%rsp\n\t"
	                 "movq $0, (%%rsp)\n\t"
	                 "movq %[ret], 8(%%rsp)\n\t"
	                 "movq %[ret], 16(%%rsp)\n\t"
	                 "leaq (%%rsp, %[off]), %%rbp\n\t"
	                 "callq *%[fn]\n\t"
	                 "movq %%r12, %%rsp\n\t"
	                 "movq %%rbx, %%rbp"
	                 : "=a"(rc), "+D"(arg)
	                 : [ret] "r"(f->ret), [off] "r"(f->off), [fn] "r"(acquire_odd)
	                 : "rbx", "r12", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
	                   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc",
	                   "memory");
	return rc;
#elif defined(__aarch64__)
	register void *x0 __asm__("x0") = arg;

	__asm__ volatile("mov x19, sp\n\t"
	                 "mov x20, x29\n\t"
	                 "sub x21, x19, #256\n\t"
	                 "and x21, x21, #-64\n\t"
	                 "mov sp, x21\n\t"
	                 "stp xzr, %[ret], [sp]\n\t"
	                 "str %[ret], [sp, #16]\n\t"
	                 "add x29, x21, %[off]\n\t"
	                 "blr %[fn]\n\t"
	                 "mov sp, x19\n\t"
	                 "mov x29, x20"
	                 : "+r"(x0)
	                 : [ret] "r"(f->ret), [off] "r"(f->off), [fn] "r"(acquire_odd)
	                 : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
	                   "x17", "x19", "x20", "x21", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10",
	                   "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
	                   "v25", "v26", "v27", "v28", "v29", "v30", "v31", "cc", "memory");
	return (int)(intptr_t)x0;
#endif
}

static int hold_from_an_odd_frame(void *arg)
{
	struct odd_frame *f = arg;

	TT_TRY(call_with_odd_frame(f));
	TT_TRY(tt_sleep(TT_SEC(2)));
	tt_pool_release(f->p, f->t, TT_POOL_KEEP);
	return 0;
}

/* How many frames the report of a leak shows. */
static unsigned frames_shown(thing_pool *p, uintptr_t ret, uintptr_t off)
{
	struct odd_frame f = { .p = p, .ret = ret, .off = off };
	const char *text;
	int rc;

	text = stderr_of(hold_from_an_odd_frame, &f, &rc);
	EXPECT_OK(rc);
	EXPECT_EQ(count_of(text, "has held an item for"), 1u);
	return count_of(text, "    #");
}

/* The stack is followed up to where its frame pointers are none: beyond the stack, beside a
 * word, at a frame that returns nowhere. */
TT_TEST(pool_time, a_stack_without_frame_pointers_is_told_in_part)
{
	/* law 5 */
	const uintptr_t somewhere = (uintptr_t)acquire_odd;
	unsigned whole;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.leak_after = TT_SEC(1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(fill(p, 1));
	whole = frames_shown(p, somewhere, 0);
	EXPECT_GE(whole, 3u);
	EXPECT_EQ(frames_shown(p, 0, 0), whole - 1);
	EXPECT_EQ(frames_shown(p, somewhere, 1), whole - 1);
	EXPECT_EQ(frames_shown(p, somewhere, (uintptr_t)1 << 62), whole - 1);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- the end ---- */

struct slow_end {
	thing_pool *p;
	tt_semaphore started;
};

static TT_TASK(holds_on, (struct slow_end *, e), (int64_t, how_long))
{
	TT_LEASE(t, e->p);
	TT_TRY(tt_pool_acquire(e->p, &t));
	tt_semaphore_release(&e->started, 1);
	return tt_sleep(how_long);
}

static int destroyed_slowly(void *arg)
{
	struct slow_end *e = arg;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, holds_on, e, TT_SEC(70));
	tt_go_with(&g, &anywhere, holds_on, e, TT_SEC(1));
	TT_TRY_IN(&g, tt_semaphore_acquire(&e->started, 2));
	tt_pool_destroy(e->p);
	return tt_group_end(&g, 0);
}

/* Destroy names those it waits for after five seconds, and again each minute. */
TT_TEST(pool_time, destroy_names_who_keeps_it_waiting)
{
	/* law 5 */
	struct slow_end e;
	struct shop s;
	tt_pool_options o;
	const char *text;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 2);
	REQUIRE_OK(tt_pool_create(&o, &e.p));
	tt_semaphore_init(&e.started, 0);
	text = stderr_of(destroyed_slowly, &e, &rc);
	EXPECT_OK(rc);
	EXPECT_EQ(count_of(text, "keeps destroy waiting"), 2u);
	EXPECT_TRUE(HAS(text, "tutti: pool shop: holds_on#"));
	tt_semaphore_fini(&e.started);
	shop_fini(&s);
}

static int destroyed_as_one_leaks(void *arg)
{
	struct slow_end *e = arg;

	TT_TRY(tt_sleep(TT_MS(1))); /* to the begin of a tick: both times are in one then */
	TT_GROUP(g);
	tt_go(&g, holds_on, e, TT_SEC(8));
	TT_TRY_IN(&g, tt_semaphore_acquire(&e->started, 1));
	tt_pool_destroy(e->p);
	return tt_group_end(&g, 0);
}

/* One that is found to leak at the moment when destroy would name it is told as both, once each. */
TT_TEST(pool_time, a_leak_while_destroy_waits_is_told_apart)
{
	/* law 5 */
	struct slow_end e;
	struct shop s;
	tt_pool_options o;
	const char *text;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 2);
	o.leak_after = TT_SEC(5);
	REQUIRE_OK(tt_pool_create(&o, &e.p));
	tt_semaphore_init(&e.started, 0);
	text = stderr_of(destroyed_as_one_leaks, &e, &rc);
	EXPECT_OK(rc);
	EXPECT_EQ(count_of(text, "has held an item for 500"), 1u);
	EXPECT_EQ(count_of(text, "has held an item for"), 1u);
	EXPECT_EQ(count_of(text, "keeps destroy waiting"), 1u);
	tt_semaphore_fini(&e.started);
	shop_fini(&s);
}

static TT_TASK(takes_it_over, (struct slow_end *, e), (struct thing *, t))
{
	TT_TRY(tt_sleep(TT_SEC(1)));
	tt_pool_release(e->p, t, TT_POOL_KEEP);
	return 0;
}

static int destroyed_by_a_borrower(void *arg)
{
	struct slow_end *e = arg;
	struct thing *t;

	TT_TRY(tt_pool_acquire(e->p, &t));
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, takes_it_over, e, t);
	tt_pool_destroy(e->p);
	return tt_group_end(&g, 0);
}

/* A task that destroys the pool and still has an item of it is told so at once. */
TT_TEST(pool_time, destroy_by_a_borrower_says_so)
{
	/* law 5 */
	struct slow_end e;
	struct shop s;
	tt_pool_options o;
	const char *text;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 2);
	REQUIRE_OK(tt_pool_create(&o, &e.p));
	text = stderr_of(destroyed_by_a_borrower, &e, &rc);
	EXPECT_OK(rc);
	EXPECT_EQ(count_of(text, "who holds an item, acquired at"), 1u);
	EXPECT_FALSE(HAS(text, "keeps destroy waiting"));
	shop_fini(&s);
}

/* A close that hangs is left alone after return_max. */
TT_TEST(pool_time, a_close_has_a_time_limit)
{
	/* law 5 */
	int64_t before = tt_now();
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	s.close_takes = TT_HOUR(1);
	o = shop_options(&s, 2);
	o.return_max = TT_SEC(2);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(fill(p, 2));
	tt_pool_destroy(p);
	EXPECT_LE(tt_now() - before, TT_SEC(3));
	shop_fini(&s);
}
