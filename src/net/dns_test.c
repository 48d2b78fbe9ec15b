/* SPDX-License-Identifier: MIT */
/*
 * dns_test.c - names and services to addresses: what is asked once for many, what a cancel
 * leaves, and what is refused.
 */
#include <errno.h>
#include <netdb.h>
#include <unistd.h>

#include "io/driver.h"
#include "net/lookup.h"
#include "net/net_testkit.h"
#include "net/resolve.h"
#include "task/task.h"

TT_TEST_MAIN()

static void expect_text(const tt_addr *a, const char *expected)
{
	char text[64];

	tt_addr_text(a, text, sizeof(text));
	EXPECT_STR_EQ(text, expected);
}

/* Digits are their own answer; a service is a number, a name or nothing. */
TT_TEST(dns, digits_and_services)
{
	tt_addr a[4];

	EXPECT_EQ(tt_resolve("192.0.2.7", "80", a, 4), 1);
	expect_text(&a[0], "192.0.2.7:80");
	EXPECT_EQ(tt_resolve("::1", NULL, a, 4), 1);
	expect_text(&a[0], "[::1]:0");
	EXPECT_EQ(tt_resolve("127.0.0.1", "65535", a, 4), 1);
	expect_text(&a[0], "127.0.0.1:65535");
	EXPECT_GE(tt_resolve("localhost", "7", a, 4), 1);
	EXPECT_EQ(tt_resolve("localhost", "7", a, 1), 1);
}

/* The system's list of services counts, with names and with digits. */
TT_TEST(dns, services_by_name)
{
	tt_addr a[4];

	if (tti_home_here->driver->ops->resolve == NULL && access("/etc/services", R_OK) != 0)
		tt_test_skip("this machine has no /etc/services");
	EXPECT_EQ(tt_resolve("127.0.0.1", "https", a, 4), 1);
	expect_text(&a[0], "127.0.0.1:443");
}

/* Nobody has the name, or nobody could be asked: only the second is worth another try. */
TT_TEST_PLAIN(dns, an_unanswered_question_is_no_answer)
{
	const char *why = NULL;

	EXPECT_EQ(tti_lookup_code(EAI_NONAME, 0, &why), TT_ENOHOST);
	EXPECT_EQ(tti_lookup_code(EAI_AGAIN, 0, &why), TT_EAGAIN);
	EXPECT_TRUE(why != NULL && why[0] != '\0');
	EXPECT_EQ(tti_lookup_code(EAI_MEMORY, 0, &why), TT_ENOMEM);
	EXPECT_EQ(tti_lookup_code(EAI_SERVICE, 0, &why), TT_EINVAL);
	EXPECT_EQ(tti_lookup_code(EAI_SYSTEM, EMFILE, &why), -EMFILE);
	EXPECT_EQ(tti_lookup_code(EAI_SYSTEM, 0, &why), TT_EIO);
}

TT_TEST(dns, refusals)
{
	char longer[300];
	tt_addr a;

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	EXPECT_CODE(tt_resolve("no-such-host.invalid", "80", &a, 1), TT_ENOHOST);
	EXPECT_CODE(tt_resolve("no-such-host.Invalid.", "80", &a, 1), TT_ENOHOST);
	EXPECT_CODE(tt_resolve("localhost", "no-such-service", &a, 1), TT_EINVAL);
	EXPECT_CODE(tt_resolve("localhost", longer, &a, 1), TT_EINVAL);
	EXPECT_CODE(tt_resolve("localhost", "65536", &a, 1), TT_EINVAL);
	EXPECT_CODE(tt_resolve("localhost", "123456", &a, 1), TT_EINVAL);
	EXPECT_CODE(tt_resolve(longer, "80", &a, 1), TT_EINVAL);
	EXPECT_CODE(tt_resolve("", "80", &a, 1), TT_EINVAL);
	EXPECT_CODE(tt_resolve("localhost", "80", &a, 0), TT_EINVAL);
	EXPECT_CODE(TT_WITHIN(-1, tt_resolve("localhost", "80", &a, 1)), TT_ETIMEDOUT);
}

/* ---- in a simulation, where lookups take their time ---- */

static TT_TASK(ask, (const char *, host), (int, expected))
{
	tt_addr a[4];

	EXPECT_CODE(tt_resolve(host, "80", a, 4), expected);
	return 0;
}

static TT_TASK(ask_briefly, (const char *, host), (int64_t, timeout))
{
	tt_addr a[4];
	int rc = TT_WITHIN(timeout, tt_resolve(host, "80", a, 4));

	EXPECT_TRUE(rc > 0 || rc == TT_ETIMEDOUT);
	return 0;
}

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

/* Runs in which nothing goes wrong by itself. */
#define in_calm(n, task) \
	for (uint64_t seed_ = 0; seed_ < 10; seed_++) { \
		tt_sim_options o_ = { .seed = tt_test_seed() + seed_, .workers = (n), .faults = TT_FAULTS_NONE }; \
		EXPECT_OK(tt_sim_run_with(&o_, task)); \
	}

/* However many ask on however many workers, there is one lookup a name. */
static TT_TASK(share_a_lookup)
{
	TT_GROUP(g);
	for (int i = 0; i < 20; i++)
		tt_go_with(&g, &anywhere, ask, "a.sim", 1);
	REQUIRE_OK(tt_test_wait_all_parked());
	EXPECT_LE(tti_resolve_under_way(), 1);
	for (int i = 0; i < 20; i++)
		tt_go_with(&g, &anywhere, ask, i % 2 == 0 ? "dual.sim" : "a.sim", 2 - i % 2);
	REQUIRE_OK(tt_test_wait_all_parked());
	EXPECT_LE(tti_resolve_under_way(), 2);
	return tt_group_end(&g, 0);
}

TT_TEST_PLAIN(dns, tasks_of_all_workers_share_a_lookup)
{
	/* law 5 */
	for (unsigned workers = 1; workers <= 4; workers++)
		in_calm(workers, share_a_lookup);
}

/* Of asks that were cancelled, those that left no lookup behind at that moment. */
static int cancelled, withdrawn;

static TT_TASK(ask_in_vain, (const char *, host))
{
	tt_addr a;

	int rc = tt_resolve(host, "80", &a, 1);

	EXPECT_TRUE(rc == TT_ECANCELED || rc == 1);
	cancelled += rc == TT_ECANCELED;
	withdrawn += rc == TT_ECANCELED && tti_resolve_under_way() == 0;
	return 0;
}

/* One asks and is cancelled, mostly before the lookup has begun. */
static void ask_and_cancel(const char *host)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, ask_in_vain, host);
	REQUIRE_OK(tt_test_wait_all_parked());
	tt_group_cancel(&g);
	EXPECT_OK(tt_group_end(&g, 0));
}

/* Who is cancelled leaves; the others get their answer. When nobody is left, a lookup that has
 * not begun is withdrawn, and one that has goes on, for whoever asks next. */
static TT_TASK(cancel_some)
{
	tt_addr a;

	for (int i = 0; i < 20; i++) {
		ask_and_cancel("a.sim");
		EXPECT_EQ(tt_resolve("a.sim", "1", &a, 1), 1);
		EXPECT_EQ(tti_resolve_under_way(), 0);
	}
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, ask, "b.sim", 1);
		REQUIRE_OK(tt_test_wait_all_parked());
		ask_and_cancel("b.sim");
		EXPECT_LE(tti_resolve_under_way(), 1);
		for (int i = 0; i < 10; i++)
			tt_go_with(&g, &anywhere, ask_briefly, "b.sim", TT_US(i));
		EXPECT_OK(tt_group_end(&g, 0));
	}
	for (int i = 0; i < 40; i++) {
		int rc = TT_WITHIN(TT_US(i), tt_resolve("c.sim", "1", &a, 1));

		EXPECT_TRUE(rc == TT_ETIMEDOUT || rc == 1);
	}
	EXPECT_EQ(tt_resolve("c.sim", "1", &a, 1), 1);
	return 0;
}

TT_TEST_PLAIN(dns, a_cancel_abandons_the_answer_for_one_alone)
{
	/* law 5 */
	for (unsigned workers = 1; workers <= 4; workers++)
		in_calm(workers, cancel_some);
	/* A quarter is cancelled that early; an answer at that very moment is rare. */
	EXPECT_GT(withdrawn * 8, cancelled);
	tt_test_note("%d cancelled, %d withdrawn", cancelled, withdrawn);
}

/* The lookup is this worker's; one of those who share it is on another, and may be cancelled and
 * answered before it has had a turn to see either. */
static TT_TASK(cancel_from_afar)
{
	const tt_child_options here = { .worker = TT_WORKER_HERE }, there = { .worker = TT_WORKER(1) };
	tt_addr a;

	for (int i = 0; i < 60; i++) {
		TT_GROUP(g);
		tt_go_with(&g, &here, ask_in_vain, "a.sim");
		tt_go_with(&g, &there, ask_in_vain, "a.sim");
		REQUIRE_OK(tt_sleep(TT_US(4 * i)));
		tt_group_cancel(&g);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_EQ(tt_resolve("a.sim", "1", &a, 1), 1);
	EXPECT_EQ(tti_resolve_under_way(), 0);
	return 0;
}

/* However late somebody hears of its cancel: it has an answer or none, and no lookup is left. */
TT_TEST_PLAIN(dns, an_answer_comes_behind_a_cancel)
{
	/* laws 4, 5 */
	for (unsigned i = 0; i < tt_test_seeds(40); i++) {
		tt_sim_options o = { .seed = tt_test_seed() + i, .workers = 2 + i % 3, .quiet = true };

		o.faults = TT_FAULT_BIT(TT_FAULT_STARVATION);
		EXPECT_OK(tt_sim_run_with(&o, cancel_from_afar));
	}
}

/* A name nobody has is told to all who asked. */
TT_TEST_ON(dns, all_hear_of_a_failure, TT_ON_SIM, "needs simulated names")
{
	/* law 5 */
	TT_GROUP(g);
	for (int i = 0; i < 10; i++)
		tt_go_with(&g, &anywhere, ask, "nowhere.example", TT_ENOHOST);
	EXPECT_OK(tt_group_end(&g, 0));
}

static TT_TASK(leave_early)
{
	tt_addr a;

	return TT_WITHIN(TT_MS(1), tt_resolve("d.sim", "1", &a, 1)) == TT_ETIMEDOUT ? 1 : 0;
}

/* The program may end while a lookup goes on for nobody. */
TT_TEST_PLAIN(dns, the_end_does_not_wait_for_a_slow_server)
{
	int early = 0;

	for (unsigned i = 0; i < 40; i++) {
		tt_sim_options o = { .seed = tt_test_seed() + i, .faults = TT_FAULT_BIT(TT_FAULT_SLOW_RESOLVER) };
		tt_sim_report r;
		int rc = tt_sim_run_with(&o, leave_early);

		tt_sim_report_last(&r);
		EXPECT_GE(rc, 0);
		early += rc;
		EXPECT_LT(r.virtual_ns, TT_SEC(1));
	}
	EXPECT_GT(early, 0);
}

static TT_TASK(ask_all, (const char *, host))
{
	TT_GROUP(g);
	for (int i = 0; i < 8; i++)
		tt_go_with(&g, &anywhere, ask_briefly, host, TT_MS(10));
	return tt_group_end(&g, 0);
}

/* Real threads: answers and cancels race, and no lookup is left or freed twice. */
TT_TEST_ON(dns, answers_and_cancels_race, TT_ON_REAL, "needs real threads")
{
	static const char *const hosts[] = { "localhost", "127.1" };

	for (int i = 0; i < 1000; i++) {
		TT_GROUP(g);
		for (int k = 0; k < 8; k++) {
			tt_go_with(&g, &anywhere, ask_briefly, hosts[k % 2], TT_US(20 * (i % 7)));
			tt_go_with(&g, &anywhere, ask_all, hosts[k % 2]);
		}
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_TASKS_ALIVE(1);
}

static int ask_for_localhost(void)
{
	tt_addr a;

	return tt_resolve("localhost", "80", &a, 1);
}

/* It leaves, or hears the answer, whichever comes first. */
static TT_TASK(ask_for_a_moment)
{
	int rc = TT_WITHIN(TT_US(20), ask_for_localhost());

	return rc >= 0 || rc == TT_ETIMEDOUT ? 0 : rc;
}

static TT_TASK(two_ask_and_one_leaves)
{
	static const tt_child_options on_1 = { .worker = TT_WORKER(1) };
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &on_1, ask_for_a_moment);
	rc = ask_for_localhost();
	return tt_group_end(&g, rc > 0 ? 0 : rc);
}

/* Each allocation, mapping, call and thread start refused in turn while one asks and another leaves: no
 * lookup is left, and whoever stays is told. Every interleaving of it is in tests/model. */
TT_TEST_PLAIN(dns, what_is_refused_is_told_and_nothing_is_left)
{
	tt_torture_options o = { .workers = 2, .seed = tt_test_seed() };
	tt_torture_result r;

	if (tt_test_on() == TT_ON_SIM)
		tt_test_skip("its lookups are the driver's; oom_net_test has them");
	EXPECT_EQ(TT_ALLOC_TORTURE(&o, &r, two_ask_and_one_leaves), 0);
	EXPECT_GT(r.cut, 0);
	EXPECT_EQ(TT_SYSCALL_TORTURE(&o, &r, two_ask_and_one_leaves), 0);
	EXPECT_GT(r.cut, 0);
}
