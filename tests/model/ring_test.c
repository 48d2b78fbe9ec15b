/* SPDX-License-Identifier: MIT */
/*
 * ring_test.c - the shared memory of io/uring.c under the model: the queues that the kernel
 * reads and writes at the same time, and the flag that coalesces wake-ups.
 *
 * The kernel is a thread of the model, written from its documented protocol: it acquires the
 * submissions' tail, copies an entry and releases its head; it acquires the completions' head,
 * writes an entry and releases their tail. Both queues have two entries, so that they go round.
 * An entry that is written while the other side may still read it is a race.
 *
 * uring.c is part of this file: what is shared is not in its header.
 */
/* model-sources: src/io/direct.c src/base/spin.c src/env/env.c src/arch/x86_64/switch.S src/arch/aarch64/switch.S */
#include "model.h"

#include "io/uring.c"

#define ENTRIES 2
#define CALLS 3

static struct uring ring;
static tti_atomic_u32 sq_head, sq_tail, sq_flags, cq_head, cq_tail;
static struct io_uring_sqe sqes[ENTRIES];
static struct io_uring_cqe cqes[ENTRIES];
static struct model_parker eventfd_;
static unsigned news[3];             /* plain: what each waker did before its wake */
static tti_atomic_u32 flags[3];      /* relaxed: likewise, as a worker's inbox is */
static unsigned done;                /* completions handled */

static long model_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	(void)e;
	(void)f;
	if (nr == SYS_write)
		model_unpark(&eventfd_);
	return 0;
}

static const struct tti_env_ops model_env = { .name = "model", .syscall = model_syscall };

static void setup(void)
{
	tti_env_bind(&model_env);
	memset(&ring, 0, sizeof(ring));
	memset(sqes, 0, sizeof(sqes));
	memset(cqes, 0, sizeof(cqes));
	memset(news, 0, sizeof(news));
	memset(flags, 0, sizeof(flags));
	sq_head.v = sq_tail.v = sq_flags.v = cq_head.v = cq_tail.v = 0;
	eventfd_.token = false;
	done = 0;
	ring.owner = tti_direct_thread();
	ring.sq_head = &sq_head;
	ring.sq_tail = &sq_tail;
	ring.sq_flags = &sq_flags;
	ring.sq_mask = ENTRIES - 1;
	ring.sq_entries = ENTRIES;
	ring.sqes = sqes;
	ring.cq_head = &cq_head;
	ring.cq_tail = &cq_tail;
	ring.cq_mask = ENTRIES - 1;
	ring.cq_entries = ENTRIES;
	ring.cqes = cqes;
	model_name(&sq_head, "sq head");
	model_name(&sq_tail, "sq tail");
	model_name(&cq_head, "cq head");
	model_name(&cq_tail, "cq tail");
	model_name(&ring.woken, "woken");
}

/* ---- The queues ---- */

static bool submit_one(void)
{
	struct io_uring_sqe *sqe = sqe_get(&ring, 0);

	if (sqe == NULL)
		return false;
	sqe->user_data = TAG_CANCEL;
	TT_IGNORE(sq_publish(&ring));
	return true;
}

static void driver_side(void)
{
	unsigned submitted = 0;

	while (ring.reaped[IORING_OP_ASYNC_CANCEL] < CALLS) {
		uint32_t n;

		if (submitted < CALLS && submit_one()) {
			submitted++;
			continue;
		}
		n = reap(&ring);
		done += n;
		if (n == 0)
			tti_cpu_relax();
	}
}

static void kernel_side(void)
{
	for (uint32_t i = 0; i < CALLS; i++) {
		struct io_uring_sqe sqe;

		/* acquire: pairs with the release in sq_publish(). */
		while (tti_load_acquire(&sq_tail) == i)
			tti_cpu_relax();
		sqe = TTI_PLAIN_READ(sqes[i & (ENTRIES - 1)]);
		/* release: pairs with the acquire in sq_used(): the entry was copied. */
		tti_store_release(&sq_head, i + 1);
		/* acquire: pairs with the release in reap(): the slot was read. */
		while (i - tti_load_acquire(&cq_head) == ENTRIES)
			tti_cpu_relax();
		TTI_PLAIN_WRITE(cqes[i & (ENTRIES - 1)], ((struct io_uring_cqe){ .user_data = sqe.user_data }));
		/* release: pairs with the acquire in cq_ready(): the entry is written. */
		tti_store_release(&cq_tail, i + 1);
	}
}

static void check_queues(void)
{
	MODEL_ASSERT(done == CALLS);
	MODEL_ASSERT(ring.in_flight == 0);
	MODEL_ASSERT(sq_head.v == CALLS && cq_head.v == CALLS);
}

/* ---- Waking ---- */

static void wake_with_news(unsigned i)
{
	model_plain_write(news[i], 1u);
	/* relaxed: as `stopping` is: the wake orders it. */
	tti_store_relaxed(&flags[i], 1);
	driver_wake(&ring.base);
}

static void waker_1(void) { wake_with_news(0); }
static void waker_2(void) { wake_with_news(1); }

/* Sleeps until it has seen what all wakers did, as a worker looks at its flags after a poll. */
static void sleep_for(unsigned wakers)
{
	unsigned seen = 0;

	while (seen < wakers) {
		seen = 0;
		for (unsigned i = 0; i < wakers; i++)
			/* relaxed: as above. */
			seen += tti_load_relaxed(&flags[i]);
		if (seen == wakers)
			break;
		model_park(&eventfd_);
		ring.in_flight++;
		completion_handle(&ring, TAG_WAKE, 0, 0);
	}
}

static void sleeper_of_one(void) { sleep_for(1); }
static void sleeper_of_two(void) { sleep_for(2); }

/* Who was woken sees what its waker did. */
static void sleeper_reads(void)
{
	model_park(&eventfd_);
	ring.in_flight++;
	completion_handle(&ring, TAG_WAKE, 0, 0);
	MODEL_ASSERT(model_plain_read(news[0]) == 1);
}

static const struct model_scenario scenarios[] = {
	{ .name = "queues", .claim = "Entries go round both queues; none is written while the other side reads it.",
	  .setup = setup, .threads = { driver_side, kernel_side }, .check = check_queues, .executions = 200000,
	  .partial = true },
	{ .name = "wake", .claim = "Who is woken sees what was done before the wake.", .setup = setup,
	  .threads = { sleeper_reads, waker_1 } },
	{ .name = "wake_one", .claim = "A wake that crosses the sleep is not lost.", .setup = setup,
	  .threads = { sleeper_of_one, waker_1 } },
	{ .name = "wake_two", .claim = "Nor is one of two that share an eventfd write.", .setup = setup,
	  .threads = { sleeper_of_two, waker_1, waker_2 } },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/io/uring.c", NULL };
	static const struct model_harness h = { .name = "ring", .scenarios = scenarios, .files = files };

	return model_main(argc, argv, &h);
}
