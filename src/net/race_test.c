/* SPDX-License-Identifier: MIT */
/*
 * race_test.c - a name with several addresses: who is tried when, who wins, and that nobody
 * else is left. Times are exact, since the simulated network takes 10 us a way at most.
 *
 * The names say what they stand for: "h6a4" is a black hole of IPv6, then a host of IPv4.
 *
 * test-on: sim1 sim4
 */
#include <sys/socket.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

#define ONE_ATTEMPT TT_MS(5)                 /* what an attempt that is answered may take */

typedef int step_fn(tt_fd *listener);

static TT_TASK(with_listener, (const char *, at), (step_fn *, step))
{
	tt_fd *listener = NULL;
	int rc;

	if (at != NULL)
		TT_TRY(tt_tcp_listen(at, NULL, &listener));
	rc = step(listener);
	EXPECT_TASKS_ALIVE(1);
	tt_fd_close(listener);
	return rc;
}

/* A run in which nothing goes wrong by itself; it fails if a descriptor is left. */
static int in_calm(const char *at, step_fn *step)
{
	tt_sim_options o = { .seed = tt_test_seed(), .workers = tt_test_workers(), .faults = TT_FAULTS_NONE };

	return tt_sim_run_with(&o, with_listener, at, step);
}

/* It connects after about so long. */
static int connects_after(const char *addr, int64_t after, const char *peer)
{
	int64_t start = tt_now(), took;
	char text[64];
	tt_fd *fd;

	TT_TRY(tt_tcp_connect(addr, NULL, &fd));
	took = tt_now() - start;
	EXPECT_GE(took, after);
	EXPECT_LT(took, after + ONE_ATTEMPT);
	EXPECT_OK(tt_fd_peer_text(fd, text, sizeof(text)));
	EXPECT_EQ(strncmp(text, peer, strlen(peer)), 0);
	tt_fd_close(fd);
	return 0;
}

static int black_holes(tt_fd *listener)
{
	(void)listener;
	TT_TRY(connects_after("h6a4.x.sim:7", TT_MS(250), "10."));
	TT_TRY(connects_after("h6h4a4.x.sim:7", TT_MS(500), "10."));
	return connects_after("a4h6.x.sim:7", 0, "10.");
}

/* An address that does not answer costs 250 ms, not its timeout of minutes. */
TT_TEST_PLAIN(race, a_black_hole_costs_a_quarter_of_a_second)
{
	EXPECT_OK(in_calm("0.0.0.0:7", black_holes));
}

static int interleaved(tt_fd *listener)
{
	(void)listener;
	/* In the order of the list it would be the third. */
	TT_TRY(connects_after("h6h6a4.x.sim:7", TT_MS(250), "10."));
	return connects_after("h6h6h6h4a4.x.sim:7", TT_MS(750), "10.");
}

/* The families take turns: one that is broken as a whole does not hold up the other. Law 4. */
TT_TEST_PLAIN(race, families_take_turns)
{
	EXPECT_OK(in_calm("0.0.0.0:7", interleaved));
}

static int refused_first(tt_fd *listener)
{
	(void)listener;
	return connects_after("a6a4.x.sim:7", 0, "10.");
}

/* An address that refuses costs no time at all. */
TT_TEST_PLAIN(race, a_refusal_starts_the_next_at_once)
{
	EXPECT_OK(in_calm("0.0.0.0:7", refused_first));
}

static TT_TASK(accept_later, (tt_fd *, listener), (int, n))
{
	tt_fd *fd;

	TT_TRY(tt_sleep(TT_MS(600)));
	for (int i = 0; i < n; i++) {
		TT_TRY(tt_accept(listener, &fd, NULL));
		tt_fd_close(fd);
	}
	return 0;
}

/* The full backlog of the first address drops the first try, which is repeated after 1 s. */
static int first_answers_late(tt_fd *listener)
{
	tt_tcp_options one = { .backlog = 1 };
	tt_fd *full, *fill[2];
	int rc;

	(void)listener;
	TT_TRY(tt_tcp_listen("[::1]:9", &one, &full));
	for (int i = 0; i < 2; i++)
		TT_TRY(tt_tcp_connect("[::1]:9", NULL, &fill[i]));
	{
		TT_GROUP(g);
		tt_go(&g, accept_later, full, 3);
		rc = tt_group_end(&g, connects_after("a6h4.x.sim:9", TT_SEC(1), "[::1]"));
	}
	tt_fd_close(fill[0]);
	tt_fd_close(fill[1]);
	tt_fd_close(full);
	return rc;
}

/* An attempt goes on while later ones are made, and may still win. */
TT_TEST_PLAIN(race, an_earlier_attempt_may_still_win)
{
	EXPECT_OK(in_calm(NULL, first_answers_late));
}

/* The third connection finds no room before its last try. */
static int stays_full(tt_fd *listener)
{
	tt_tcp_options one = { .backlog = 1 };
	tt_fd *full, *fill[2], *fd = NULL;
	int64_t start;

	(void)listener;
	TT_TRY(tt_tcp_listen("[::1]:9", &one, &full));
	for (int i = 0; i < 2; i++)
		TT_TRY(tt_tcp_connect("[::1]:9", NULL, &fill[i]));
	start = tt_now();
	EXPECT_CODE(tt_tcp_connect("[::1]:9", NULL, &fd), TT_ETIMEDOUT);
	EXPECT_GE(tt_now() - start, TT_SEC(127));
	EXPECT_LT(tt_now() - start, TT_SEC(128));
	EXPECT_EQ(fd, NULL);
	tt_fd_close(fill[0]);
	tt_fd_close(fill[1]);
	tt_fd_close(full);
	return 0;
}

/* A backlog that stays full is a time-out after the seven tries that Linux makes. */
TT_TEST_PLAIN(race, a_full_backlog_times_out)
{
	for (int i = 0; i < 3; i++)
		EXPECT_OK(in_calm(NULL, stays_full));
}

/* What has become of the connections that were made: served, or closed without a word. */
struct outcome {
	int served, closed;
};

static TT_TASK(serve_one, (tt_fd *, fd, tt_fd_close), (struct outcome *, o))
{
	int rc;
	char c;

	rc = tt_read(fd, &c, 1);
	o->served += rc == 1;
	o->closed += rc != 1;
	tt_fd_close(fd);
	return rc == TT_ECANCELED ? rc : 0;
}

static TT_TASK(serve_each, (tt_group *, g), (tt_fd *, listener), (int64_t, from), (struct outcome *, o))
{
	tt_fd *fd;

	TT_TRY(tt_sleep(from));
	for (;;) {
		TT_TRY(tt_accept(listener, &fd, NULL));
		tt_go(g, serve_one, fd, o);
	}
}

static int says_one_word(const char *addr)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_tcp_connect(addr, NULL, &fd));
	rc = tt_write_all(fd, "w", 1, NULL);
	tt_fd_close(fd);
	return rc < 0 ? rc : tt_sleep(TT_SEC(1)); /* what has lost is closed by now */
}

/* The first address repeats its try just when the fifth is tried: both answer. */
static int two_answer(struct outcome *o)
{
	tt_tcp_options one = { .backlog = 1 };
	tt_group_options shared = { .shared = true };
	tt_fd *full, *other, *fill[2];
	int rc;

	TT_TRY(tt_tcp_listen("[::1]:9", &one, &full));
	TT_TRY(tt_tcp_listen("0.0.0.0:9", NULL, &other));
	for (int i = 0; i < 2; i++)
		TT_TRY(tt_tcp_connect("[::1]:9", NULL, &fill[i]));
	{
		TT_GROUP_WITH(g, &shared);
		tt_go(&g, serve_each, &g, full, TT_MS(600), o);
		tt_go(&g, serve_each, &g, other, 0, o);
		rc = says_one_word("a6h4h6h4a4.x.sim:9");
		tt_fd_close(fill[0]);
		tt_fd_close(fill[1]);
		TT_IGNORE(TT_SHIELDED(TT_NEVER, tt_sleep(TT_SEC(1))));
		tt_group_cancel(&g);
		rc = tt_group_end(&g, rc);
	}
	tt_fd_close(full);
	tt_fd_close(other);
	return rc;
}

static TT_TASK(answers, (struct outcome *, ret))
{
	for (int i = 0; i < 3; i++) {
		struct outcome o = { .served = 0 };

		TT_TRY(two_answer(&o));
		EXPECT_EQ(o.served, 1);
		EXPECT_GE(o.closed, 2); /* the two that filled the backlog */
		EXPECT_LE(o.closed, 3);
		ret->served += o.served;
		ret->closed += o.closed - 2;
	}
	return 0;
}

/* Of two addresses that answer one serves, the other's connection is closed, and the run fails if a
 * descriptor is left. */
TT_TEST_PLAIN(race, of_two_answers_one_is_closed)
{
	/* laws 1, 4 */
	struct outcome all = { .served = 0 };
	unsigned seeds = tt_test_seeds(100);

	for (unsigned i = 0; i < seeds; i++) {
		tt_sim_options o = {
			.seed = tt_test_seed() + i, .workers = tt_test_workers(), .quiet = true,
			.faults = TT_FAULT_BIT(TT_FAULT_LATE_COMPLETION),
		};

		EXPECT_OK(tt_sim_run_with(&o, answers, &all));
	}
	if (seeds >= 100)
		EXPECT_GT(all.closed, 0); /* about one in twenty */
	tt_test_note("%d served, %d closed", all.served, all.closed);
}

static bool says(int rc, const char *a, const char *b)
{
	char text[1000] = "";
	tt_error e;

	tt_error_take(&e, rc);
	tt_error_text(&e, text, sizeof(text));
	tt_error_fini(&e);
	return (strstr(text, a) != NULL && strstr(text, b) != NULL) || EXPECT_STR_EQ(text, a);
}

static int all_fail(tt_fd *listener)
{
	int64_t start = tt_now();
	tt_fd *fd = NULL;
	int rc;

	(void)listener;
	rc = tt_tcp_connect("a6a4.x.sim:7", NULL, &fd);
	EXPECT_CODE(rc, TT_ECONNREFUSED);
	EXPECT_TRUE(says(rc, "[::1]:7", "10."));
	EXPECT_LT(tt_now() - start, TT_MS(10));
	/* The refusal comes first, the silence decides. */
	rc = tt_tcp_connect("h6a4.x.sim:7", NULL, &fd);
	EXPECT_CODE(rc, TT_ETIMEDOUT);
	EXPECT_TRUE(says(rc, "[2001:db8", "ECONNREFUSED"));
	rc = tt_tcp_connect("h6h4.x.sim:7", NULL, &fd);
	EXPECT_CODE(rc, TT_ETIMEDOUT);
	EXPECT_TRUE(says(rc, "[2001:db8", "192.0.2."));
	EXPECT_EQ(fd, NULL);
	return 0;
}

/* When all have failed, the last failure counts and the others stand beside it. */
TT_TEST_PLAIN(race, every_failure_is_in_the_chain)
{
	EXPECT_OK(in_calm(NULL, all_fail));
}

static int cut_short(tt_fd *listener)
{
	static const int64_t when[] = { 0, TT_US(1), TT_MS(100), TT_MS(250), TT_MS(251), TT_SEC(3) };
	tt_fd *fd = NULL;

	(void)listener;
	for (size_t i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
		int64_t start = tt_now();

		EXPECT_CODE(TT_WITHIN(when[i], tt_tcp_connect("h6h4h6h4.x.sim:7", NULL, &fd)), TT_ETIMEDOUT);
		EXPECT_LT(tt_now() - start, when[i] + TT_MS(1));
	}
	EXPECT_EQ(fd, NULL);
	return 0;
}

/* Law 1: a cancel ends all attempts at once and leaves nothing open. */
TT_TEST_PLAIN(race, a_cancel_ends_every_attempt)
{
	EXPECT_OK(in_calm(NULL, cut_short));
}

static TT_TASK(count_accepts, (tt_fd *, listener), (int *, ret_n), (int *, ret_ended))
{
	tt_fd *fd;
	char c;

	for (;;) {
		TT_TRY(tt_accept(listener, &fd, NULL));
		++*ret_n;
		*ret_ended += tt_read(fd, &c, 1) == 0;
		tt_fd_close(fd);
	}
}

/* With faults: whoever wins, at most one connection stays, and it works. */
static TT_TASK(race_in_a_storm, (int *, ret_done))
{
	tt_fd *listener, *fd;
	int accepted = 0, ended = 0, rc;

	TT_TRY(tt_tcp_listen("[::]:7", NULL, &listener));
	{
		TT_GROUP(g);
		tt_go(&g, count_accepts, listener, &accepted, &ended);
		for (int i = 0; i < 5; i++) {
			rc = TT_WITHIN(TT_MS(400), tt_tcp_connect("a6h4a4a6.x.sim:7", NULL, &fd));
			if (rc == 0) {
				tt_fd_close(fd);
				++*ret_done;
			}
		}
		tt_group_cancel(&g);
		rc = tt_group_end(&g, 0);
	}
	tt_fd_close(listener);
	return rc;
}

/* Laws 1, 2 and 4: late completions, refusals and silences in every mixture leave no descriptor
 * and no task. */
TT_TEST_PLAIN(race, storms_leave_nothing)
{
	int done = 0;

	for (unsigned i = 0; i < 4 * tt_test_seeds(25); i++) {
		tt_sim_options o = {
			.seed = tt_test_seed() + i, .workers = tt_test_workers(), .quiet = true,
			.faults = TT_FAULTS_NETWORK & ~TT_FAULT_BIT(TT_FAULT_RESOLVER),
		};

		EXPECT_OK(tt_sim_run_with(&o, race_in_a_storm, &done));
	}
	EXPECT_GT(done, 0);
	tt_test_note("%d connections made", done);
}
