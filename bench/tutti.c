/* SPDX-License-Identifier: MIT */
/*
 * tutti.c - our column of the comparison: `bench-tutti BENCH [size]`, by the convention of
 * compare/README.md, where each bench is defined. compare/run-all runs it beside the
 * peers. Every bench checks its own result.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <tutti/tutti.h>

#include "compare/common/bench.h"

TT_CHAN_TYPE(word_chan, uint64_t);

static const char *bench_name;

static void require(bool ok)
{
	if (!ok) {
		fprintf(stderr, "%s: wrong result\n", bench_name);
		abort();
	}
}

/* ---- switching and spawning ---- */

TT_TASK(yield_times, (long, n))
{
	for (long i = 0; i < n; i++)
		TT_TRY(tt_yield());
	return 0;
}

static int ctxswitch(long n)
{
	double t = now_ns();
	int rc;

	TT_GROUP(g);
	tt_go(&g, yield_times, n / 2);
	tt_go(&g, yield_times, n / 2);
	rc = tt_group_end(&g, 0);
	out(bench_name, (now_ns() - t) / (double)n, "ns/switch");
	return rc;
}

TT_TASK(add_one, (long *, counter))
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
	return 0;
}

static int spawn_groups(long n, long per_group)
{
	double t = now_ns();
	long count = 0;

	for (long done = 0; done < n; done += per_group) {
		TT_GROUP(g);
		for (long i = 0; i < per_group; i++)
			tt_go(&g, add_one, &count);
		int rc = tt_group_end(&g, 0);
		if (rc < 0)
			return rc;
	}
	require(count == n);
	out(bench_name, (now_ns() - t) / (double)n, "ns/task");
	return 0;
}

static int spawn_join(long n)
{
	return spawn_groups(n, n);
}

static int spawn_batch(long n)
{
	return spawn_groups(n, 1000);
}

TT_TASK_DECLARE(skynet_node, (uint64_t, base), (uint64_t, size), (uint64_t *, ret_sum));

int skynet_node(uint64_t base, uint64_t size, uint64_t *ret_sum)
{
	uint64_t sums[10], sum = 0;
	int rc;

	if (size == 1) {
		*ret_sum = base;
		return 0;
	}
	{
		TT_GROUP(g);
		for (uint64_t i = 0; i < 10; i++)
			tt_go(&g, skynet_node, base + i * (size / 10), size / 10, &sums[i]);
		rc = tt_group_end(&g, 0);
	}
	for (int i = 0; i < 10; i++)
		sum += sums[i];
	*ret_sum = sum;
	return rc;
}

static int skynet(long n)
{
	uint64_t sum = 0, leaves = (uint64_t)n;
	double t = now_ns();
	int rc = skynet_node(0, leaves, &sum);

	require(rc == 0 && sum == leaves * (leaves - 1) / 2);
	out(bench_name, (now_ns() - t) / (double)n, "ns/leaf");
	return 0;
}

/* ---- channels ---- */

TT_TASK(answer, (word_chan *, in), (word_chan *, back), (long, n))
{
	uint64_t x;

	for (long i = 0; i < n; i++) {
		TT_TRY(tt_recv(in, &x));
		x++;
		TT_TRY(tt_send(back, &x));
	}
	return 0;
}

static int pingpong(long n, unsigned worker)
{
	tt_child_options place = { .worker = worker };
	word_chan to, back;
	uint64_t x = 0;
	double t;
	int rc = 0;

	TT_TRY(tt_chan_init(&to, 1));
	TT_TRY(tt_chan_init(&back, 1));
	TT_GROUP(g);
	tt_go_with(&g, &place, answer, &to, &back, n);
	t = now_ns();
	for (long i = 0; i < n && rc >= 0; i++) {
		rc = tt_send(&to, &x);
		if (rc >= 0)
			rc = tt_recv(&back, &x);
	}
	t = (now_ns() - t) / (double)n;
	rc = tt_group_end(&g, rc < 0 ? rc : 0);
	require(rc == 0 && x == (uint64_t)n);
	out(bench_name, t, "ns/roundtrip");
	tt_chan_fini(&to);
	tt_chan_fini(&back);
	return 0;
}

static int pingpong_same(long n)
{
	return pingpong(n, TT_WORKER_HERE);
}

static int pingpong_cross(long n)
{
	return pingpong(n, TT_WORKER(1));
}

TT_TASK(produce, (word_chan *, to), (long, n))
{
	TT_CLOSE_AT_END(to);
	for (uint64_t i = 0; i < (uint64_t)n; i++)
		TT_TRY(tt_send(to, &i));
	return 0;
}

TT_TASK(consume, (word_chan *, from), (long *, counter))
{
	uint64_t items[64];
	long got = 0;
	int n;

	while ((n = tt_recv_many(from, items, 64, 0)) > 0)
		got += n;
	__atomic_fetch_add(counter, got, __ATOMIC_RELAXED);
	return n;
}

/* Producers hold the channel open until the last one has started. */
static int many_to(long n, int consumers, unsigned worker)
{
	tt_child_options place = { .worker = worker };
	word_chan ch;
	long got = 0;
	double t = now_ns();
	int rc;

	TT_TRY(tt_chan_init(&ch, 128));
	{
		TT_GROUP(g);
		for (int i = 0; i < consumers; i++)
			tt_go(&g, consume, &ch, &got);
		{
			TT_GROUP(producers);
			for (int i = 0; i < 4; i++)
				tt_go_with(&producers, &place, produce, &ch, n / 4);
			rc = tt_group_end(&producers, 0);
		}
		tt_chan_close(&ch);
		rc = tt_group_end(&g, rc);
	}
	require(rc == 0 && got == n / 4 * 4);
	out(bench_name, (double)n / (now_ns() - t) * 1e9, "msg/s");
	tt_chan_fini(&ch);
	return 0;
}

static int mpsc(long n) { return many_to(n, 1, TT_WORKER_HERE); }
static int mpmc(long n) { return many_to(n, 4, TT_WORKER_HERE); }
static int mpsc_n(long n) { return many_to(n, 1, TT_WORKER_ANY); }
static int mpmc_n(long n) { return many_to(n, 4, TT_WORKER_ANY); }

static int select_loop(long n, bool fresh)
{
	int64_t standing = tt_now() + TT_HOUR(1);
	word_chan a, b;
	uint64_t x;
	double t;
	int rc = 0;

	TT_TRY(tt_chan_init(&a, 16));
	TT_TRY(tt_chan_init(&b, 16));
	TT_GROUP(g);
	tt_go(&g, produce, &a, n / 2);
	tt_go(&g, produce, &b, n / 2);
	t = now_ns();
	for (long got = 0; got < n / 2 * 2 && rc >= 0;) {
		int a_rc = 0, b_rc = 0;

		rc = tt_select(TT_ON_RECV_RC(&a, &x, &a_rc), TT_ON_RECV_RC(&b, &x, &b_rc),
		               TT_ON_DEADLINE(fresh ? tt_now() + TT_HOUR(1) : standing));
		got += a_rc == 1 || b_rc == 1;
	}
	t = (now_ns() - t) / (double)n;
	rc = tt_group_end(&g, rc < 0 ? rc : 0);
	require(rc == 0);
	out(bench_name, t, "ns/iter");
	tt_chan_fini(&a);
	tt_chan_fini(&b);
	return 0;
}

static int select_standing(long n) { return select_loop(n, false); }
static int select_fresh(long n) { return select_loop(n, true); }

/* ---- locks ---- */

TT_TASK(lock_times, (tt_mutex *, m), (long *, counter), (long, n), (bool, yield))
{
	for (long i = 0; i < n; i++) {
		TT_TRY(tt_mutex_lock(m));
		(*counter)++;
		int rc = yield ? tt_yield() : 0;
		tt_mutex_unlock(m);
		TT_TRY(rc);
	}
	return 0;
}

static int mutex_loop(long n, unsigned worker, bool yield)
{
	tt_child_options place = { .worker = worker };
	tt_mutex m;
	long count = 0;
	double t = now_ns();
	int rc;

	tt_mutex_init(&m);
	TT_GROUP(g);
	for (int i = 0; i < 64; i++)
		tt_go_with(&g, &place, lock_times, &m, &count, n / 64, yield);
	rc = tt_group_end(&g, 0);
	require(rc == 0 && count == n / 64 * 64);
	out(bench_name, (now_ns() - t) / (double)n, "ns/op");
	tt_mutex_fini(&m);
	return 0;
}

static int mutex_1(long n) { return mutex_loop(n, TT_WORKER_HERE, true); }
static int mutex_n(long n) { return mutex_loop(n, TT_WORKER_ANY, false); }

TT_TASK(permit_times, (tt_semaphore *, s), (long, n), (bool, yield))
{
	for (long i = 0; i < n; i++) {
		TT_TRY(tt_semaphore_acquire(s, 1));
		int rc = yield ? tt_yield() : 0;
		tt_semaphore_release(s, 1);
		TT_TRY(rc);
	}
	return 0;
}

static int sem_loop(long n, int tasks, unsigned worker, bool yield)
{
	tt_child_options place = { .worker = worker };
	tt_semaphore s;
	double t = now_ns();
	int rc;

	tt_semaphore_init(&s, 8);
	TT_GROUP(g);
	for (int i = 0; i < tasks; i++)
		tt_go_with(&g, &place, permit_times, &s, n / tasks, yield);
	rc = tt_group_end(&g, 0);
	require(rc == 0 && tt_semaphore_try_acquire(&s, 8) == 0);
	out(bench_name, (now_ns() - t) / (double)n, tasks == 1 ? "ns" : "ns/op");
	tt_semaphore_fini(&s);
	return 0;
}

static int sem_free(long n) { return sem_loop(n, 1, TT_WORKER_HERE, false); }
static int sem_1(long n) { return sem_loop(n, 64, TT_WORKER_HERE, true); }
static int sem_n(long n) { return sem_loop(n, 64, TT_WORKER_ANY, false); }

/* ---- time ---- */

static int timer_cancel(long n)
{
	uint64_t seed = 42;
	double t = now_ns();

	for (long i = 0; i < n; i++) {
		TT_SCOPE(s, TT_MS(1000 + rng_next(&seed) % 60000));
		int rc = tt_scope_end(&s, 0);
		if (rc < 0)
			return rc;
	}
	out(bench_name, (now_ns() - t) / (double)n, "ns/timer");
	return 0;
}

TT_TASK(hold_timer, (int64_t, timeout))
{
	return tt_sleep(timeout);
}

static int timer_cancel_deep(long n)
{
	uint64_t seed = 42;
	int rc;

	TT_GROUP(g);
	for (int i = 0; i < 100000; i++)
		tt_go(&g, hold_timer, TT_MS(100000 + rng_next(&seed) % 60000));
	TT_TRY_IN(&g, tt_sleep(TT_MS(200)));
	rc = timer_cancel(n);
	tt_group_cancel(&g);
	return tt_group_end(&g, rc);
}

struct lateness {
	int64_t total_ns;
	long early;
};

TT_TASK(sleep_until, (int64_t, deadline), (struct lateness *, late))
{
	TT_TRY(tt_sleep(deadline - tt_now()));
	int64_t by = (int64_t)now_ns() - deadline;
	late->total_ns += by;
	late->early += by < 0;
	return 0;
}

static int timer_sleep(long n)
{
	struct lateness late = { 0, 0 };
	double cpu = cpu_ns(0);
	int64_t start = tt_now() + TT_MS(500);
	uint64_t seed = 7;
	int rc;

	TT_GROUP(g);
	for (long i = 0; i < n; i++)
		tt_go(&g, sleep_until, start + (int64_t)(rng_next(&seed) % 1000000) * 1000, &late);
	rc = tt_group_end(&g, 0);
	require(rc == 0 && late.early == 0);
	out(bench_name, (cpu_ns(0) - cpu) / (double)n, "cpu-ns/sleeper");
	out("timer_sleep_late", (double)late.total_ns / (double)n / 1e3, "us-mean");
	return 0;
}

/* ---- memory, threads ---- */

TT_TASK(wait_for_ever, (tt_notify *, never))
{
	return tt_notify_wait(never);
}

static int parked(long n)
{
	tt_notify never;
	double before = rss_bytes();
	tt_stats stats;

	tt_notify_init(&never);
	TT_GROUP(g);
	for (long i = 0; i < n; i++)
		tt_go(&g, wait_for_ever, &never);
	do {
		TT_TRY_IN(&g, tt_sleep(TT_MS(1)));
		tt_stats_read(&stats);
	} while (stats.tasks_parked < (uint64_t)n);
	out(bench_name, (rss_bytes() - before) / (double)n, "bytes/task");
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

TT_TASK(answer_job, (int, x))
{
	return x + 1;
}

static int offload(long n)
{
	double t = now_ns();

	for (int i = 0; i < (int)n; i++)
		require(tt_blocking(answer_job, i) == i + 1);
	out(bench_name, (now_ns() - t) / (double)n, "ns/roundtrip");
	return 0;
}

/* ---- computing ---- */

/* Like a plain call, what the compiler inlines of it into itself is no merit of ours. */
TT_TASK_DECLARE(fib, (long, n), (long *, ret));

__attribute__((noinline)) int fib(long n, long *ret)
{
	long a = 0, b = 0;

	if (n < 2) {
		*ret = n;
		return 0;
	}
	TT_TRY(tt_fork2((fib, n - 1, &a), (fib, n - 2, &b)));
	*ret = a + b;
	return 0;
}

static int fork_fib(long n)
{
	long got = 0, zero = 0;
	double t = now_ns();
	int rc = tt_fork2((fib, n, &got), (fib, 0, &zero));

	t = now_ns() - t;
	require(rc == 0 && got == fib_seq(n));
	out(bench_name, t / forks(n), "ns/fork");
	return 0;
}

static double sum_range(const double *items, size_t n)
{
	double s[4] = { 0, 0, 0, 0 };
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
		for (size_t k = 0; k < 4; k++)
			s[k] += items[i + k];
	for (; i < n; i++)
		s[0] += items[i];
	return s[0] + s[1] + s[2] + s[3];
}

TT_TASK(sum_fold, (size_t, first), (size_t, end), (double *, acc), (const double *, items))
{
	*acc += sum_range(items + first, end - first);
	return 0;
}

TT_TASK(sum_join, (double *, left), (double *, right))
{
	*left += *right;
	return 0;
}

static int par_sum(long n)
{
	size_t bytes = ((size_t)n * 8 + (2 << 20) - 1) & ~(size_t)((2 << 20) - 1);
	double *items = aligned_alloc(2 << 20, bytes), best = 1e18, best_seq = 1e18, total = 0;
	int rc = 0;

	require(items != NULL);
	if (getenv("SMALL_PAGES") == NULL)
		madvise(items, bytes, MADV_HUGEPAGE);
	for (long i = 0; i < n; i++)
		items[i] = (double)(i % 1000);
	for (int k = 0; k < 3 && rc == 0; k++) {
		double t = now_ns(), sum = 0;

		rc = tt_par_reduce((size_t)n, &sum, (sum_fold, items), (sum_join));
		t = now_ns() - t;
		best = t < best ? t : best;
		t = now_ns();
		total = sum_range(items, (size_t)n);
		t = now_ns() - t;
		best_seq = t < best_seq ? t : best_seq;
		require(sum == total);
	}
	out(bench_name, best / 1e6, "ms");
	out("par_sum_seq", best_seq / 1e6, "ms");
	free(items);
	return rc;
}

TT_TASK(heavy_fold, (size_t, first), (size_t, end), (uint64_t *, acc))
{
	for (size_t i = first; i < end; i++)
		*acc += heavy(i);
	return 0;
}

TT_TASK(heavy_join, (uint64_t *, left), (uint64_t *, right))
{
	*left += *right;
	return 0;
}

static int par_heavy(long n)
{
	uint64_t sum = 0, seq = 0;
	double t = now_ns();
	int rc = tt_par_reduce((size_t)n, &sum, (heavy_fold), (heavy_join));

	out(bench_name, (now_ns() - t) / 1e6, "ms");
	t = now_ns();
	for (uint64_t i = 0; i < (uint64_t)n; i++)
		seq += heavy(i);
	out("par_heavy_seq", (now_ns() - t) / 1e6, "ms");
	require(rc == 0 && sum == seq);
	return 0;
}

TT_SORT(words, uint64_t, a, b, *a < *b);

static int compare_words(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* by_less: by comparisons, as records would be; else by the bits of the keys. */
static int sort_words(long n, bool by_less)
{
	size_t bytes = (size_t)n * sizeof(uint64_t);
	uint64_t *keys = malloc(bytes), *expected = malloc(bytes), seed = 99;
	double t;
	int rc;

	require(keys != NULL && expected != NULL);
	for (long i = 0; i < n; i++)
		keys[i] = expected[i] = rng_next(&seed);
	t = now_ns();
	rc = by_less ? tt_par_sort(words, keys, (size_t)n) : tt_par_sort_u64(keys, (size_t)n);
	out(bench_name, (now_ns() - t) / 1e6, "ms");
	qsort(expected, (size_t)n, sizeof(uint64_t), compare_words);
	require(rc == 0 && memcmp(keys, expected, bytes) == 0);
	free(keys);
	free(expected);
	return 0;
}

static int par_sort(long n) { return sort_words(n, false); }
static int par_sort_less(long n) { return sort_words(n, true); }

/* ---- TCP echo ---- */

TT_TASK(echo_connection, (tt_fd *, conn, tt_fd_close))
{
	char buf[16384];
	int n;

	while ((n = tt_read(conn, buf, sizeof(buf))) > 0) {
		int rc = tt_write_all(conn, buf, (size_t)n, NULL);

		if (rc < 0)
			break;
	}
	tt_fd_close(conn);
	return 0;
}

TT_TASK(echo_server, (const char *, port))
{
	tt_group_options servers = { .policy = TT_ISOLATE };
	char addr[64];
	tt_fd *listener, *conn;
	int rc;

	snprintf(addr, sizeof(addr), "127.0.0.1:%s", port);
	TT_TRY(tt_tcp_listen(addr, NULL, &listener));
	TT_GROUP_WITH(g, &servers);
	while ((rc = tt_accept(listener, &conn, NULL)) >= 0)
		tt_go(&g, echo_connection, conn);
	tt_fd_close(listener);
	return tt_group_end(&g, rc);
}

/* ---- the table ---- */

static const struct bench {
	const char *name;
	int (*run)(long n);
	long size;
	unsigned workers;
} benches[] = {
	{ "ctxswitch", ctxswitch, 5000000, 1 },
	{ "spawn_join_1", spawn_join, 1000000, 1 },
	{ "spawn_set_1", spawn_join, 1000000, 1 },
	{ "spawn_batch_1", spawn_batch, 1000000, 1 },
	{ "skynet_1", skynet, 1000000, 1 },
	{ "pingpong_same", pingpong_same, 1000000, 1 },
	{ "pingpong_cross", pingpong_cross, 30000, 2 },
	{ "mpsc_1", mpsc, 4000000, 1 },
	{ "mpsc_n", mpsc_n, 4000000, 0 },
	{ "mpmc_1", mpmc, 4000000, 1 },
	{ "mpmc_n", mpmc_n, 4000000, 0 },
	{ "select", select_standing, 2000000, 1 },
	{ "select_fresh", select_fresh, 2000000, 1 },
	{ "mutex_1", mutex_1, 1000000, 1 },
	{ "mutex_n", mutex_n, 1000000, 0 },
	{ "sem_free", sem_free, 10000000, 1 },
	{ "sem_1", sem_1, 1000000, 1 },
	{ "sem_n", sem_n, 1000000, 0 },
	{ "timer_cancel", timer_cancel, 1000000, 1 },
	{ "timer_cancel_deep", timer_cancel_deep, 1000000, 1 },
	{ "timer_sleep", timer_sleep, 100000, 1 },
	{ "parked", parked, 100000, 1 },
	{ "offload", offload, 30000, 1 },
	{ "fib_1", fork_fib, 35, 1 },
	{ "fib_n", fork_fib, 35, 0 },
	{ "par_sum", par_sum, 100000000, 0 },
	{ "par_heavy", par_heavy, 10000000, 0 },
	{ "par_sort", par_sort, 10000000, 0 },
	{ "par_sort_less", par_sort_less, 10000000, 0 },
};

TT_TASK(run_bench, (const struct bench *, b), (long, size))
{
	return b->run(size > 0 ? size : b->size);
}

int main(int argc, char **argv)
{
	tt_main_options o = { .workers = 1 };
	char text[16];

	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return tt_main_with(&o, echo_server, argv[2]);
	for (size_t i = 0; argc >= 2 && i < sizeof(benches) / sizeof(benches[0]); i++) {
		if (strcmp(argv[1], benches[i].name) != 0)
			continue;
		bench_name = benches[i].name;
		o.workers = benches[i].workers > 0 ? benches[i].workers : (unsigned)workers();
		snprintf(text, sizeof(text), "%u", o.workers);
		setenv("TUTTI_COMPUTE", text, 0);
		return tt_main_with(&o, run_bench, &benches[i], argc > 2 ? atol(argv[2]) : 0L);
	}
	fprintf(stderr, "usage: bench-tutti BENCH [size] | echo PORT\n");
	return 64;
}
