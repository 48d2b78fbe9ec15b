/* SPDX-License-Identifier: MIT */
/*
 * sim_client_server_test.c - clients and a server over a simulated network with every
 * fault it has: groups, deadlines, a channel, blocking jobs, names, retries.
 *
 * What is conserved: the server books each request it has read completely, once, before
 * it answers. So a request that got its answer is in the book exactly once, no request is
 * in it twice, and every answer is the right one. Tasks and descriptors are counted by
 * the simulator after each run.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#define CLIENTS_MAX 6
#define REQUESTS 3
#define ATTEMPTS 4
#define IDS (CLIENTS_MAX * REQUESTS * ATTEMPTS)
#define PAYLOAD_MAX 300
#define SEEDS_DEFAULT 300
#define TWICE_EVERY 10

struct head {
	uint32_t id;
	uint32_t size;
};

TT_CHAN_TYPE(book_chan, uint32_t);

struct world {
	book_chan book;
	tt_semaphore busy;
	unsigned char booked[IDS];       /* times the server booked it */
	unsigned char answered[IDS];     /* times its client saw the answer */
	unsigned clients, done, gave_up;
	int port;
};

/* What all seeds of the test came to. */
static struct {
	uint64_t faults[TT_FAULT_KINDS];
	uint64_t requests, gave_up, steps;
	int64_t virtual_ns;
} total;

static unsigned char payload_byte(uint32_t id, size_t i)
{
	return (unsigned char)(id * 31u + i * 7u);
}

/* ---- the server ---- */

static TT_TASK(digest, (const unsigned char *, data), (size_t, n), (uint32_t *, ret_sum))
{
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ data[i]) * 16777619u;
	*ret_sum = sum;
	return 0;
}

static int answer(struct world *w, tt_fd *conn, const struct head *h, unsigned char *data)
{
	uint32_t sum;

	TT_TRY(tt_semaphore_acquire(&w->busy, 1));
	{
		int rc = tt_blocking(digest, data, h->size, &sum);

		tt_semaphore_release(&w->busy, 1);
		TT_TRY(rc);
	}
	TT_TRY(tt_send(&w->book, &h->id));
	memcpy(data + h->size, &sum, sizeof(sum));
	return tt_write_all(conn, data, h->size + sizeof(sum), NULL);
}

static int serve_one(struct world *w, tt_fd *conn)
{
	unsigned char data[PAYLOAD_MAX + sizeof(uint32_t)];
	struct head h;

	TT_TRY(tt_read_exact(conn, &h, sizeof(h), NULL));
	if (h.size > PAYLOAD_MAX || h.id >= IDS)
		return tt_fail(TT_EPROTO, "request %u of %u bytes", h.id, h.size);
	TT_TRY(tt_read_exact(conn, data, h.size, NULL));
	for (size_t i = 0; i < h.size; i++)
		if (data[i] != payload_byte(h.id, i))
			return tt_fail(TT_EPROTO, "request %u: byte %zu is wrong", h.id, i);
	return answer(w, conn, &h, data);
}

/* A broken client is no failure of the server; a wrong byte is. */
static TT_TASK(serve, (struct world *, w), (tt_fd *, conn, tt_fd_close))
{
	int rc;

	do {
		rc = TT_WITHIN(TT_SEC(2), serve_one(w, conn));
	} while (rc >= 0);
	tt_fd_close(conn);
	EXPECT_NE(rc, TT_EPROTO);
	return 0;
}

static TT_TASK(accept_all, (struct world *, w), (tt_fd *, listener))
{
	static const tt_group_options options = { .name = "connections", .policy = TT_ISOLATE, .max_children = 4 };
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_fd *conn;
	int rc;

	TT_GROUP_WITH(g, &options);
	while ((rc = tt_accept(listener, &conn, NULL)) >= 0)
		tt_go_with(&g, &anywhere, serve, w, conn);
	return tt_group_end(&g, rc);
}

static TT_TASK(keep_book, (struct world *, w))
{
	uint32_t id;
	int rc;

	while ((rc = tt_recv(&w->book, &id)) > 0)
		w->booked[id]++;
	return rc;
}

/* ---- the clients ---- */

static int exchange(tt_fd *conn, const struct head *h)
{
	unsigned char data[sizeof(struct head) + PAYLOAD_MAX];
	uint32_t sum, expected = 2166136261u;

	memcpy(data, h, sizeof(*h));
	for (size_t i = 0; i < h->size; i++)
		data[sizeof(*h) + i] = payload_byte(h->id, i);
	TT_TRY(tt_write_all(conn, data, sizeof(*h) + h->size, NULL));
	memset(data, 0, sizeof(data));
	TT_TRY(tt_read_exact(conn, data, h->size, NULL));
	TT_TRY(tt_read_exact(conn, &sum, sizeof(sum), NULL));
	for (size_t i = 0; i < h->size; i++) {
		EXPECT_EQ(data[i], payload_byte(h->id, i));
		expected = (expected ^ data[i]) * 16777619u;
	}
	EXPECT_EQ(sum, expected);
	return 0;
}

/* Keeps its connection while it works; makes a new one after a failure. */
static int request(struct world *w, tt_fd **conn, uint32_t id)
{
	struct head h = { .id = id, .size = (id * 97u) % PAYLOAD_MAX };
	char addr[64];
	int rc;

	if (*conn == NULL) {
		snprintf(addr, sizeof(addr), "server.sim:%d", w->port);
		TT_TRY(TT_WITHIN(TT_SEC(1), tt_tcp_connect(addr, NULL, conn)));
	}
	rc = TT_WITHIN(TT_SEC(1), exchange(*conn, &h));
	if (rc < 0) {
		tt_fd_close(*conn);
		*conn = NULL;
		return rc;
	}
	w->answered[id]++;
	return 0;
}

static int request_until_done(struct world *w, tt_fd **conn, uint32_t first_id)
{
	int rc = 0;

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		rc = request(w, conn, first_id + i);
		if (rc >= 0)
			return 0;
		TT_TRY(tt_sleep(TT_MS(5) << i));
	}
	return rc;
}

static TT_TASK(client, (struct world *, w), (unsigned, index))
{
	tt_fd *conn = NULL;
	int rc;

	for (unsigned i = 0; i < REQUESTS; i++) {
		rc = request_until_done(w, &conn, (index * REQUESTS + i) * ATTEMPTS);
		if (rc >= 0)
			w->done++;
		else
			w->gave_up++;
	}
	tt_fd_close(conn);
	return 0;
}

/* ---- the world ---- */

static int run_clients(struct world *w)
{
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

	TT_GROUP(clients);
	for (unsigned i = 0; i < w->clients; i++)
		tt_go_with(&clients, &anywhere, client, w, i);
	return tt_group_end(&clients, 0);
}

static int run_server(struct world *w, tt_fd *listener)
{
	static const tt_child_options elsewhere = { .worker = TT_WORKER_ANY };
	int rc;

	TT_GROUP(booking);
	tt_go(&booking, keep_book, w);
	{
		TT_GROUP(server);
		tt_go_with(&server, &elsewhere, accept_all, w, listener);
		rc = run_clients(w);
		tt_group_cancel(&server);
		rc = tt_group_end(&server, rc);
	}
	tt_chan_close(&w->book);
	return tt_group_finish(&booking, rc);
}

static TT_TASK(scenario, (struct world *, w))
{
	tt_fd *listener;
	int rc;

	TT_TRY(tt_chan_init(&w->book, 2));
	tt_semaphore_init(&w->busy, 2);
	rc = tt_tcp_listen("*:0", NULL, &listener);
	if (rc >= 0) {
		w->port = tt_fd_local_port(listener);
		rc = run_server(w, listener);
		tt_fd_close(listener);
	}
	tt_semaphore_fini(&w->busy);
	tt_chan_fini(&w->book);
	return rc;
}

static void check_books(const struct world *w)
{
	for (unsigned id = 0; id < IDS; id++) {
		EXPECT_LE(w->booked[id], 1);
		EXPECT_LE(w->answered[id], w->booked[id]);
	}
	EXPECT_EQ(w->done + w->gave_up, w->clients * REQUESTS);
}

static tt_sim_options options_for(uint64_t seed)
{
	return (tt_sim_options){
		.seed = seed, .workers = 1 + (unsigned)(seed % 3), .faults = TT_FAULTS_NETWORK, .quiet = true,
	};
}

static void run_seed(uint64_t seed, tt_sim_report *ret_report)
{
	tt_sim_options o = options_for(seed);
	struct world w;

	memset(&w, 0, sizeof(w));
	w.clients = 2 + (unsigned)(seed % (CLIENTS_MAX - 1));
	EXPECT_OK(tt_sim_run_with(&o, scenario, &w));
	check_books(&w);
	tt_sim_report_last(ret_report);
	total.requests += w.done;
	total.gave_up += w.gave_up;
}

static void add_up(const tt_sim_report *r)
{
	for (int i = 0; i < TT_FAULT_KINDS; i++)
		total.faults[i] += r->faults[i];
	total.steps += r->steps;
	total.virtual_ns += r->virtual_ns;
}

static double real_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void print_faults(void)
{
	for (int i = 0; i < TT_FAULT_KINDS; i++)
		if (i != TT_FAULT_ALLOCATION)
			tt_test_note("%10llu %s", (unsigned long long)total.faults[i], tt_sim_fault_name((enum tt_fault)i));
}

/* An acknowledged request was done exactly once, whatever the network did meanwhile; and
 * each kind of fault did happen to somebody. */
TT_TEST_PLAIN(sim_client_server, nothing_is_lost_or_done_twice)
{
	unsigned seeds = tt_test_seeds(SEEDS_DEFAULT), twice = 0;
	uint64_t first = tt_test_seed();
	double start = real_seconds(), took;

	TT_LAW(1);
	TT_LAW(4);
	TT_LAW(5);
	TT_LAW(9);
	TT_LAW(11);
	for (unsigned i = 0; i < seeds; i++) {
		tt_sim_report r, again;

		run_seed(first + i, &r);
		add_up(&r);
		if (i % TWICE_EVERY != 0)
			continue;
		run_seed(first + i, &again);
		twice++;
		EXPECT_EQ(r.trace_hash, again.trace_hash);
		EXPECT_EQ(r.steps, again.steps);
	}
	took = real_seconds() - start;
	tt_test_note("%u seeds, %u of them twice: %.0f seeds/s, %llu requests, %llu given up, %llu steps, %.0f virtual s",
	             seeds, twice, (seeds + twice) / took, (unsigned long long)total.requests,
	             (unsigned long long)total.gave_up, (unsigned long long)total.steps, (double)total.virtual_ns / 1e9);
	print_faults();
	for (int i = 0; i < TT_FAULT_KINDS && seeds >= SEEDS_DEFAULT; i++)
		if (i < TT_FAULT_UDP_LOSS) /* datagrams and files have scenarios of their own */
			EXPECT_GT(total.faults[i], 0);
	EXPECT_GT(total.requests, 0);
}

static void check_booked_once(void *context, int rc)
{
	const struct world *w = context;

	(void)rc;
	for (unsigned id = 0; id < IDS; id++)
		EXPECT_LE(w->booked[id], 1);
}

static TT_TASK(small_world, (struct world *, w))
{
	memset(w, 0, sizeof(*w));
	w->clients = 2;
	return scenario(w);
}

/* The whole of it, cancelled at each of its places: no task, descriptor or permit is left,
 * nothing hangs, nothing is booked twice. */
TT_TEST_PLAIN(sim_client_server, cancelled_at_every_place)
{
	struct world w;
	tt_torture_options o = { .seed = tt_test_seed(), .check = check_booked_once, .context = &w };
	tt_torture_result r;

	TT_LAW(1);
	TT_LAW(2);
	TT_LAW(4);
	TT_LAW(5);
	TT_LAW(11);
	TT_CANCEL_TORTURE(&o, &r, small_world, &w);
	tt_test_note("cancel: k = %llu, %llu runs", (unsigned long long)r.checkpoints, (unsigned long long)r.runs);
	TT_DEADLINE_TORTURE(&o, &r, small_world, &w);
	tt_test_note("deadline: k = %llu, %llu runs", (unsigned long long)r.checkpoints, (unsigned long long)r.runs);
	EXPECT_GT(r.checkpoints, 100);
}

/* The hashes of some seeds, for comparison with another process or another compiler's
 * build: TUTTI_SIM_HASHES names the file. */
TT_TEST_PLAIN(sim_client_server, hashes)
{
	const char *path = getenv("TUTTI_SIM_HASHES");
	FILE *f;

	if (path == NULL)
		tt_test_skip("TUTTI_SIM_HASHES is not set");
	f = fopen(path, "w");
	REQUIRE_TRUE(f != NULL);
	for (unsigned i = 0; i < tt_test_seeds(50); i++) {
		tt_sim_report r;

		run_seed(tt_test_seed() + i, &r);
		fprintf(f, "%llu %016llx %llu\n", (unsigned long long)r.seed, (unsigned long long)r.trace_hash,
		        (unsigned long long)r.trace_records);
	}
	EXPECT_EQ(fclose(f), 0);
}

TT_TEST_MAIN()
