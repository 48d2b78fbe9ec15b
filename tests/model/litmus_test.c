/* SPDX-License-Identifier: MIT */
/*
 * litmus_test.c - the checker checked: small programs whose reachable outcomes are known.
 *
 * Each scenario lists exactly the outcomes that C11 (with C++20's release sequences and
 * seq_cst) allows without load buffering: one missing or one too many is a failure.
 * Those with `fails` plant a bug of a kind that the checker has to find.
 */
/* model-sources: src/arch/x86_64/switch.S src/arch/aarch64/switch.S */
#include "model.h"

static tti_atomic_u32 x, y, z;
static uint32_t r[8];
static uint32_t data;
static struct model_parker parker;
static void *block;
static __thread int local;

static void zero(void)
{
	/* relaxed throughout: setup runs alone. */
	tti_store_relaxed(&x, 0);
	tti_store_relaxed(&y, 0);
	tti_store_relaxed(&z, 0);
	model_name(&x, "x");
	model_name(&y, "y");
	model_name(&z, "z");
	for (unsigned i = 0; i < 8; i++)
		r[i] = 0;
	data = 0;
	parker.token = false;
	block = NULL;
}

static uint32_t last(tti_atomic_u32 *a)
{
	/* relaxed: check() comes after every thread. */
	return tti_load_relaxed(a);
}

static void show_r01(void) { model_outcome("%u %u", r[0], r[1]); }
static void show_r0123(void) { model_outcome("%u %u %u %u", r[0], r[1], r[2], r[3]); }

#define OUTCOMES(...) (const char *const[]){ __VA_ARGS__, NULL }
#define ALL_TWO_BITS OUTCOMES("0 0", "0 1", "1 0", "1 1")

/* ---- Store buffering ---- */

static void sb_relaxed_1(void) { tti_store_relaxed(&x, 1); r[0] = tti_load_relaxed(&y); }
static void sb_relaxed_2(void) { tti_store_relaxed(&y, 1); r[1] = tti_load_relaxed(&x); }
static void sb_acqrel_1(void) { tti_store_release(&x, 1); r[0] = tti_load_acquire(&y); }
static void sb_acqrel_2(void) { tti_store_release(&y, 1); r[1] = tti_load_acquire(&x); }
static void sb_sc_1(void) { tti_store_seq_cst(&x, 1); r[0] = tti_load_seq_cst(&y); }
static void sb_sc_2(void) { tti_store_seq_cst(&y, 1); r[1] = tti_load_seq_cst(&x); }
static void sb_fence_1(void) { tti_store_relaxed(&x, 1); tti_fence_seq_cst(); r[0] = tti_load_relaxed(&y); }
static void sb_fence_2(void) { tti_store_relaxed(&y, 1); tti_fence_seq_cst(); r[1] = tti_load_relaxed(&x); }
/* A read-modify-write of one shared location orders like a fence only when both do it:
 * whoever is second reads the first. */
static void sb_rmw_1(void) { tti_store_relaxed(&x, 1); (void)tti_fetch_add_acq_rel(&z, 1); r[0] = tti_load_relaxed(&y); }
static void sb_rmw_2(void) { tti_store_relaxed(&y, 1); (void)tti_fetch_add_acq_rel(&z, 1); r[1] = tti_load_relaxed(&x); }

/* ---- Message passing ---- */

static void mp_write_release(void) { tti_store_relaxed(&x, 1); tti_store_release(&y, 1); }
static void mp_write_relaxed(void) { tti_store_relaxed(&x, 1); tti_store_relaxed(&y, 1); }
static void mp_write_fence(void) { tti_store_relaxed(&x, 1); tti_fence_seq_cst(); tti_store_relaxed(&y, 1); }
static void mp_read_acquire(void) { r[0] = tti_load_acquire(&y); r[1] = tti_load_relaxed(&x); }
static void mp_read_relaxed(void) { r[0] = tti_load_relaxed(&y); r[1] = tti_load_relaxed(&x); }
static void mp_read_fence(void) { r[0] = tti_load_relaxed(&y); tti_fence_seq_cst(); r[1] = tti_load_relaxed(&x); }

/* ---- Independent reads of independent writes ---- */

static void iriw_w1_relaxed(void) { tti_store_relaxed(&x, 1); }
static void iriw_w2_relaxed(void) { tti_store_relaxed(&y, 1); }
static void iriw_w1_release(void) { tti_store_release(&x, 1); }
static void iriw_w2_release(void) { tti_store_release(&y, 1); }
static void iriw_w1_sc(void) { tti_store_seq_cst(&x, 1); }
static void iriw_w2_sc(void) { tti_store_seq_cst(&y, 1); }
static void iriw_r1_acquire(void) { r[0] = tti_load_acquire(&x); r[1] = tti_load_acquire(&y); }
static void iriw_r2_acquire(void) { r[2] = tti_load_acquire(&y); r[3] = tti_load_acquire(&x); }
static void iriw_r1_sc(void) { r[0] = tti_load_seq_cst(&x); r[1] = tti_load_seq_cst(&y); }
static void iriw_r2_sc(void) { r[2] = tti_load_seq_cst(&y); r[3] = tti_load_seq_cst(&x); }
static void iriw_r1_fence(void) { r[0] = tti_load_relaxed(&x); tti_fence_seq_cst(); r[1] = tti_load_relaxed(&y); }
static void iriw_r2_fence(void) { r[2] = tti_load_relaxed(&y); tti_fence_seq_cst(); r[3] = tti_load_relaxed(&x); }

#define IRIW_ALL_BUT_CONTRARY \
	"0 0 0 0", "0 0 0 1", "0 0 1 0", "0 0 1 1", "0 1 0 0", "0 1 0 1", "0 1 1 0", "0 1 1 1", \
	"1 0 0 0", "1 0 0 1", "1 0 1 1", "1 1 0 0", "1 1 0 1", "1 1 1 0", "1 1 1 1"

/* ---- Coherence ---- */

static void corr_write(void) { tti_store_relaxed(&x, 1); tti_store_relaxed(&x, 2); }
static void corr_read(void) { r[0] = tti_load_relaxed(&x); r[1] = tti_load_relaxed(&x); }
static void store_1(void) { tti_store_relaxed(&x, 1); }
static void store_2(void) { tti_store_relaxed(&x, 2); }
static void corr_read_23(void) { r[2] = tti_load_relaxed(&x); r[3] = tti_load_relaxed(&x); }
static void show_corr_two_readers(void)
{
	/* Two readers never see two stores in opposite orders. */
	MODEL_ASSERT(!(r[0] == 1 && r[1] == 2 && r[2] == 2 && r[3] == 1));
	MODEL_ASSERT(!(r[0] == 2 && r[1] == 1 && r[2] == 1 && r[3] == 2));
	MODEL_ASSERT(r[0] == 0 || r[1] != 0);
}

/* ---- Two stores each, in opposite orders ---- */

static void w22_relaxed_1(void) { tti_store_relaxed(&x, 1); tti_store_relaxed(&y, 2); }
static void w22_relaxed_2(void) { tti_store_relaxed(&y, 1); tti_store_relaxed(&x, 2); }
static void w22_sc_1(void) { tti_store_seq_cst(&x, 1); tti_store_seq_cst(&y, 2); }
static void w22_sc_2(void) { tti_store_seq_cst(&y, 1); tti_store_seq_cst(&x, 2); }
static void w22_fence_1(void) { tti_store_relaxed(&x, 1); tti_fence_seq_cst(); tti_store_relaxed(&y, 2); }
static void w22_fence_2(void) { tti_store_relaxed(&y, 1); tti_fence_seq_cst(); tti_store_relaxed(&x, 2); }
static void show_xy(void) { model_outcome("%u %u", last(&x), last(&y)); }

/* ---- Store and read of the other: R and S of the usual catalogue ---- */

static void r_sc_1(void) { tti_store_seq_cst(&x, 1); tti_store_seq_cst(&y, 1); }
static void r_sc_2(void) { tti_store_seq_cst(&y, 2); r[0] = tti_load_seq_cst(&x); }
static void r_rel_1(void) { tti_store_release(&x, 1); tti_store_release(&y, 1); }
static void r_rel_2(void) { tti_store_release(&y, 2); r[0] = tti_load_acquire(&x); }
static void show_y_r0(void) { model_outcome("%u %u", last(&y), r[0]); }
static void s_1(void) { tti_store_relaxed(&x, 2); tti_store_release(&y, 1); }
static void s_2(void) { r[0] = tti_load_acquire(&y); tti_store_relaxed(&x, 1); }
static void show_r0_x(void) { model_outcome("%u %u", r[0], last(&x)); }

/* ---- Load buffering is not modelled ---- */

static void lb_1(void) { r[0] = tti_load_relaxed(&x); tti_store_relaxed(&y, 1); }
static void lb_2(void) { r[1] = tti_load_relaxed(&y); tti_store_relaxed(&x, 1); }

/* ---- Three threads in a row ---- */

static void wrc_1(void) { tti_store_relaxed(&x, 1); }
static void wrc_2(void) { r[0] = tti_load_relaxed(&x); tti_store_release(&y, 1); }
static void wrc_2_relaxed(void) { r[0] = tti_load_relaxed(&x); tti_store_relaxed(&y, 1); }
static void wrc_3(void) { r[1] = tti_load_acquire(&y); r[2] = tti_load_relaxed(&x); }
static void show_r012(void) { model_outcome("%u %u %u", r[0], r[1], r[2]); }

/* ---- Release sequences ---- */

static void rs_write(void) { tti_store_relaxed(&x, 1); tti_store_release(&y, 1); }
static void rs_bump(void) { (void)tti_fetch_add_relaxed(&y, 4); }
static void rs_overwrite(void) { tti_store_relaxed(&y, 2); }
static void rs_own_relaxed(void) { tti_store_relaxed(&x, 1); tti_store_release(&y, 1); tti_store_relaxed(&y, 2); }

/* ---- Read-modify-writes ---- */

static void add_twice(void) { (void)tti_fetch_add_relaxed(&x, 1); (void)tti_fetch_add_relaxed(&x, 1); }
static void check_six(void) { MODEL_ASSERT(last(&x) == 6); }
static void cas_1(void) { uint32_t e = 0; r[0] = tti_cas_relaxed(&x, &e, 1); }
static void cas_2(void) { uint32_t e = 0; r[1] = tti_cas_relaxed(&x, &e, 2); }
static void cas_fail_stale(void)
{
	uint32_t e = 7;

	r[0] = tti_load_relaxed(&y);
	r[1] = tti_cas_relaxed(&x, &e, 9);
	r[2] = e;
}
static void write_x_then_y(void) { tti_store_relaxed(&x, 1); tti_store_relaxed(&y, 1); }
static void exchange_1(void) { r[0] = tti_exchange_relaxed(&x, 1); }
static void exchange_2(void) { r[1] = tti_exchange_relaxed(&x, 2); }
static void bits(void)
{
	tti_store_relaxed(&x, 6);
	r[0] = tti_fetch_or_acq_rel(&x, 1);
	r[1] = tti_fetch_and_acq_rel(&x, ~2u);
	r[2] = tti_fetch_sub_release(&x, 7);
	r[3] = tti_load_relaxed(&x);
}

/* ---- Plain data ---- */

static void plain_writer(void) { model_plain_write(data, 42); tti_store_release(&x, 1); }
static void plain_reader(void) { if (tti_load_acquire(&x) == 1) MODEL_ASSERT(model_plain_read(data) == 42); }
static void plain_racy_writer(void) { model_plain_write(data, 42); tti_store_relaxed(&z, 1); }
static void plain_racy_reader(void) { if (tti_load_acquire(&z) == 1) r[0] = model_plain_read(data); }
static void plain_write_only(void) { model_plain_write(data, 1); }

/* ---- Spinning ---- */

static void lock_and_count(void)
{
	uint32_t e = 0;

	while (!tti_cas_acquire(&y, &e, 1)) {
		e = 0;
		tti_cpu_relax();
	}
	model_plain_write(data, model_plain_read(data) + 1);
	tti_store_release(&y, 0);
}
static void check_data_2(void) { MODEL_ASSERT(data == 2); }
static void check_data_3(void) { MODEL_ASSERT(data == 3); }
static void spin_for_x(void)
{
	while (tti_load_acquire(&x) == 0)
		tti_cpu_relax();
	MODEL_ASSERT(model_plain_read(data) == 42);
}
static void spin_for_z(void)
{
	while (tti_load_relaxed(&z) == 0)
		tti_cpu_relax();
}
static void lock_x_then_y(tti_atomic_u32 *a, tti_atomic_u32 *b)
{
	uint32_t e = 0;

	while (!tti_cas_acquire(a, &e, 1)) {
		e = 0;
		tti_cpu_relax();
	}
	e = 0;
	while (!tti_cas_acquire(b, &e, 1)) {
		e = 0;
		tti_cpu_relax();
	}
	tti_store_release(b, 0);
	tti_store_release(a, 0);
}
static void lock_xy(void) { lock_x_then_y(&x, &y); }
static void lock_yx(void) { lock_x_then_y(&y, &x); }

/* ---- Futex and parker ---- */

static void futex_waiter(void)
{
	while (tti_load_acquire(&x) == 0)
		(void)model_futex_wait(&x, 0);
	MODEL_ASSERT(model_plain_read(data) == 42);
}
static void futex_setter(void)
{
	model_plain_write(data, 42);
	tti_store_release(&x, 1);
	(void)model_futex_wake(&x, 1);
}
static void futex_setter_too_early(void)
{
	(void)model_futex_wake(&x, 1);
	tti_store_release(&x, 1);
}
static void futex_just_wait(void)
{
	while (tti_load_acquire(&x) == 0)
		(void)model_futex_wait(&x, 0);
}
static void futex_wake_one_of_two(void)
{
	tti_store_release(&x, 1);
	(void)model_futex_wake(&x, 1);
}
/* The sleep protocol: publish, order, look at the flag; set the flag, order, look. */
static void sleeper(void)
{
	tti_store_relaxed(&y, 1);
	tti_fence_seq_cst();
	if (tti_load_relaxed(&x) == 0)
		model_park(&parker);
}
static void waker(void)
{
	tti_store_relaxed(&x, 1);
	tti_fence_seq_cst();
	if (tti_load_relaxed(&y) == 1)
		model_unpark(&parker);
}
static void sleeper_without_order(void)
{
	tti_store_release(&y, 1);
	if (tti_load_acquire(&x) == 0)
		model_park(&parker);
}

/* ---- Blocks ---- */

static void free_after_release_1(void)
{
	tti_atomic_u32 *a = block;

	if (tti_fetch_sub_acq_rel(a, 1) == 1)
		model_free(block);
}
static void refs_2(void)
{
	zero();
	block = model_alloc(sizeof(tti_atomic_u32));
	tti_store_relaxed((tti_atomic_u32 *)block, 2);
}
static void free_too_early(void)
{
	tti_atomic_u32 *a = block;

	if (tti_fetch_sub_release(a, 1) == 1)
		model_free(block);
}
static void leak(void)
{
	zero();
	block = model_alloc(8);
}
static void touch_freed(void)
{
	zero();
	block = model_alloc(8);
	model_free(block);
	(void)tti_load_relaxed((tti_atomic_u32 *)block);
}
static void free_twice(void)
{
	zero();
	block = model_alloc(8);
	model_free(block);
	model_free(block);
}

/* ---- Thread-locals, choices, crashes ---- */

static void register_local(void)
{
	zero();
	local = 5;
	model_thread_local(&local, sizeof(local));
}
static void count_local(void)
{
	for (int i = 0; i < 2; i++) {
		local++;
		(void)tti_fetch_add_relaxed(&x, 1);
	}
	MODEL_ASSERT(local == 7);
}
static void choose(void) { r[0] = model_choose(3); r[1] = model_choose(2); }
static void crash(void) { r[0] = *(volatile uint32_t *)(uintptr_t)(8 + tti_load_relaxed(&x)); }
static void run_on(void) { for (;;) tti_store_relaxed(&x, 1); }
static void self_feeding(void)
{
	while (tti_load_relaxed(&y) == 0) {
		(void)tti_fetch_add_relaxed(&x, 1);
		tti_cpu_relax();
	}
}
static void store_y(void) { tti_store_relaxed(&y, 1); }

static const struct model_scenario scenarios[] = {
	{ .name = "sb_relaxed", .claim = "Both loads of store buffering may miss.",
	  .setup = zero, .threads = { sb_relaxed_1, sb_relaxed_2 },
	  .check = show_r01, .outcomes = ALL_TWO_BITS },
	{ .name = "sb_acq_rel", .claim = "Release and acquire do not forbid store buffering.",
	  .setup = zero, .threads = { sb_acqrel_1, sb_acqrel_2 },
	  .check = show_r01, .outcomes = ALL_TWO_BITS },
	{ .name = "sb_seq_cst", .claim = "seq_cst accesses forbid it.",
	  .setup = zero, .threads = { sb_sc_1, sb_sc_2 },
	  .check = show_r01, .outcomes = OUTCOMES("0 1", "1 0", "1 1") },
	{ .name = "sb_fences", .claim = "seq_cst fences forbid it.",
	  .setup = zero, .threads = { sb_fence_1, sb_fence_2 },
	  .check = show_r01, .outcomes = OUTCOMES("0 1", "1 0", "1 1") },
	{ .name = "sb_one_fence", .claim = "One fence does not.",
	  .setup = zero, .threads = { sb_fence_1, sb_relaxed_2 },
	  .check = show_r01, .outcomes = ALL_TWO_BITS },
	{ .name = "sb_fence_and_sc", .claim = "A fence on one side and seq_cst accesses on the other forbid it.",
	  .setup = zero, .threads = { sb_fence_1, sb_sc_2 },
	  .check = show_r01, .outcomes = OUTCOMES("0 1", "1 0", "1 1") },
	{ .name = "sb_rmw", .claim = "A shared read-modify-write on both sides forbids it.",
	  .setup = zero, .threads = { sb_rmw_1, sb_rmw_2 },
	  .check = show_r01, .outcomes = OUTCOMES("0 1", "1 0", "1 1") },

	{ .name = "mp_rel_acq", .claim = "Who sees the flag sees the data.",
	  .setup = zero, .threads = { mp_write_release, mp_read_acquire },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "1 1") },
	{ .name = "mp_relaxed", .claim = "Without orders the data may be late.",
	  .setup = zero, .threads = { mp_write_relaxed, mp_read_relaxed },
	  .check = show_r01, .outcomes = ALL_TWO_BITS },
	{ .name = "mp_no_acquire", .claim = "A release alone does not help.",
	  .setup = zero, .threads = { mp_write_release, mp_read_relaxed },
	  .check = show_r01, .outcomes = ALL_TWO_BITS },
	{ .name = "mp_no_release", .claim = "An acquire alone does not help.",
	  .setup = zero, .threads = { mp_write_relaxed, mp_read_acquire },
	  .check = show_r01, .outcomes = ALL_TWO_BITS },
	{ .name = "mp_fences", .claim = "Fences around relaxed accesses synchronise.",
	  .setup = zero, .threads = { mp_write_fence, mp_read_fence },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "1 1") },
	{ .name = "mp_fence_acquire", .claim = "A fence pairs with an acquire.",
	  .setup = zero, .threads = { mp_write_fence, mp_read_acquire },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "1 1") },
	{ .name = "mp_release_fence", .claim = "A release pairs with a fence.",
	  .setup = zero, .threads = { mp_write_release, mp_read_fence },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "1 1") },

	{ .name = "iriw_acq_rel", .claim = "Readers may disagree about independent writes.",
	  .setup = zero, .threads = { iriw_w1_release, iriw_w2_release, iriw_r1_acquire, iriw_r2_acquire },
	  .check = show_r0123, .outcomes = OUTCOMES(IRIW_ALL_BUT_CONTRARY, "1 0 1 0") },
	{ .name = "iriw_seq_cst", .claim = "seq_cst makes them agree.",
	  .setup = zero, .threads = { iriw_w1_sc, iriw_w2_sc, iriw_r1_sc, iriw_r2_sc },
	  .check = show_r0123, .outcomes = OUTCOMES(IRIW_ALL_BUT_CONTRARY) },
	{ .name = "iriw_sc_reads", .claim = "seq_cst reads of relaxed writes agree as well (C++20).",
	  .setup = zero, .threads = { iriw_w1_relaxed, iriw_w2_relaxed, iriw_r1_sc, iriw_r2_sc },
	  .check = show_r0123, .outcomes = OUTCOMES(IRIW_ALL_BUT_CONTRARY) },
	{ .name = "iriw_fences", .claim = "Fences between the reads make them agree.",
	  .setup = zero, .threads = { iriw_w1_relaxed, iriw_w2_relaxed, iriw_r1_fence, iriw_r2_fence },
	  .check = show_r0123, .outcomes = OUTCOMES(IRIW_ALL_BUT_CONTRARY) },

	{ .name = "corr", .claim = "Two reads of one location never go back.",
	  .setup = zero, .threads = { corr_write, corr_read },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "0 2", "1 1", "1 2", "2 2") },
	{ .name = "corr_two_readers", .claim = "All readers see one order of the stores of one location.",
	  .setup = zero, .threads = { store_1, store_2, corr_read, corr_read_23 },
	  .check = show_corr_two_readers },
	{ .name = "w22_relaxed", .claim = "Stores of two locations may settle against both program orders.",
	  .setup = zero, .threads = { w22_relaxed_1, w22_relaxed_2 },
	  .check = show_xy, .outcomes = OUTCOMES("1 1", "1 2", "2 1", "2 2") },
	{ .name = "w22_seq_cst", .claim = "seq_cst stores do not.",
	  .setup = zero, .threads = { w22_sc_1, w22_sc_2 },
	  .check = show_xy, .outcomes = OUTCOMES("1 2", "2 1", "2 2") },
	{ .name = "w22_fences", .claim = "Stores with fences between do not.",
	  .setup = zero, .threads = { w22_fence_1, w22_fence_2 },
	  .check = show_xy, .outcomes = OUTCOMES("1 2", "2 1", "2 2") },
	{ .name = "r_seq_cst", .claim = "A store that came second is followed by loads that see what the first saw.",
	  .setup = zero, .threads = { r_sc_1, r_sc_2 },
	  .check = show_y_r0, .outcomes = OUTCOMES("1 0", "1 1", "2 1") },
	{ .name = "r_acq_rel", .claim = "Release and acquire do not give that.",
	  .setup = zero, .threads = { r_rel_1, r_rel_2 },
	  .check = show_y_r0, .outcomes = OUTCOMES("1 0", "1 1", "2 0", "2 1") },
	{ .name = "s", .claim = "A store after an acquire settles after what was released.",
	  .setup = zero, .threads = { s_1, s_2 },
	  .check = show_r0_x, .outcomes = OUTCOMES("0 1", "0 2", "1 1") },
	{ .name = "lb", .claim = "Load buffering is not modelled: C11 would also allow 1 1.",
	  .setup = zero, .threads = { lb_1, lb_2 },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "1 0") },
	{ .name = "wrc", .claim = "What a thread read before its release is passed on.",
	  .setup = zero, .threads = { wrc_1, wrc_2, wrc_3 },
	  .check = show_r012, .outcomes = OUTCOMES("0 0 0", "0 0 1", "0 1 0", "0 1 1", "1 0 0", "1 0 1", "1 1 1") },
	{ .name = "wrc_relaxed", .claim = "Without the release it is not.",
	  .setup = zero, .threads = { wrc_1, wrc_2_relaxed, wrc_3 },
	  .check = show_r012, .outcomes = OUTCOMES("0 0 0", "0 0 1", "0 1 0", "0 1 1", "1 0 0", "1 0 1", "1 1 0", "1 1 1") },

	{ .name = "rs_rmw", .claim = "A relaxed read-modify-write continues a release sequence.",
	  .setup = zero, .threads = { rs_write, rs_bump, mp_read_acquire },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "1 1", "4 0", "4 1", "5 1") },
	{ .name = "rs_overwrite", .claim = "Another thread's store ends it.",
	  .setup = zero, .threads = { rs_write, rs_overwrite, mp_read_acquire },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "1 1", "2 0", "2 1") },
	{ .name = "rs_own_store", .claim = "The thread's own later store ends it too (C++20).",
	  .setup = zero, .threads = { rs_own_relaxed, mp_read_acquire },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "1 1", "2 0", "2 1") },

	{ .name = "rmw_atomic", .claim = "Relaxed additions lose nothing.",
	  .setup = zero, .threads = { add_twice, add_twice, add_twice },
	  .check = check_six },
	{ .name = "cas_one_winner", .claim = "One of two compare-and-swaps wins.",
	  .setup = zero, .threads = { cas_1, cas_2 },
	  .check = show_r01, .outcomes = OUTCOMES("0 1", "1 0") },
	{ .name = "cas_stale_failure", .claim = "A failed compare-and-swap may have read an old store.",
	  .setup = zero, .threads = { write_x_then_y, cas_fail_stale },
	  .check = show_r012, .outcomes = OUTCOMES("0 0 0", "0 0 1", "1 0 0", "1 0 1") },
	{ .name = "exchange", .claim = "One of two exchanges takes the other's value.",
	  .setup = zero, .threads = { exchange_1, exchange_2 },
	  .check = show_r01, .outcomes = OUTCOMES("0 1", "2 0") },
	{ .name = "arithmetic", .claim = "The operations compute what their names say, in 32 bits.",
	  .setup = zero, .threads = { bits },
	  .check = show_r0123, .outcomes = OUTCOMES("6 7 5 4294967294") },

	{ .name = "plain_ordered", .claim = "Published plain data is not a race.",
	  .setup = zero, .threads = { plain_writer, plain_reader } },
	{ .name = "plain_no_release", .claim = "Plain data behind a relaxed store is.",
	  .setup = zero, .threads = { plain_racy_writer, plain_racy_reader },
	  .fails = "data race: read" },
	{ .name = "plain_two_writers", .claim = "Two plain writes are.",
	  .setup = zero, .threads = { plain_write_only, plain_write_only },
	  .fails = "data race: write" },

	{ .name = "spinlock_2", .claim = "A spinlock protects plain data.",
	  .setup = zero, .threads = { lock_and_count, lock_and_count },
	  .check = check_data_2 },
	{ .name = "spinlock_3", .claim = "It does among three threads.",
	  .setup = zero, .threads = { lock_and_count, lock_and_count, lock_and_count },
	  .check = check_data_3 },
	{ .name = "spin_flag", .claim = "A spin for a flag ends, with the data there.",
	  .setup = zero, .threads = { plain_writer, spin_for_x } },
	{ .name = "spin_for_ever", .claim = "A spin that nobody ends is a deadlock.",
	  .setup = zero, .threads = { spin_for_z, store_1 },
	  .fails = "deadlock: T1 spins" },
	{ .name = "lock_cycle", .claim = "Two locks taken in opposite orders are a deadlock.",
	  .setup = zero, .threads = { lock_xy, lock_yx },
	  .fails = "deadlock" },
	{ .name = "self_feeding", .claim = "A loop fed by its own stores is cut, and ends otherwise.",
	  .setup = zero, .threads = { self_feeding, store_y } },

	{ .name = "futex", .claim = "A futex wait loses no wake-up.",
	  .setup = zero, .threads = { futex_waiter, futex_setter } },
	{ .name = "futex_spurious", .claim = "Nor with spurious returns.",
	  .setup = zero, .threads = { futex_waiter, futex_setter },
	  .spurious = 2 },
	{ .name = "futex_wake_first", .claim = "A wake before the store is lost.",
	  .setup = zero, .threads = { futex_just_wait, futex_setter_too_early },
	  .fails = "deadlock: T1 waits on a futex" },
	{ .name = "futex_one_of_two", .claim = "One wake does not wake two.",
	  .setup = zero, .threads = { futex_just_wait, futex_just_wait, futex_wake_one_of_two },
	  .fails = "waits on a futex" },
	{ .name = "sleep_protocol", .claim = "Fences on both sides lose no wake-up.",
	  .setup = zero, .threads = { sleeper, waker } },
	{ .name = "sleep_no_order", .claim = "Release and acquire on the sleeper's side do.",
	  .setup = zero, .threads = { sleeper_without_order, waker },
	  .fails = "deadlock: T1 is parked" },
	{ .name = "sleep_spurious_no_help", .claim = "A spurious return does not hide it.",
	  .setup = zero, .threads = { sleeper_without_order, waker },
	  .fails = "deadlock: T1 is parked", .spurious = 1 },

	{ .name = "free_last_ref", .claim = "The last reference may free the block.",
	  .setup = refs_2, .threads = { free_after_release_1, free_after_release_1 } },
	{ .name = "free_no_acquire", .claim = "Without the acquire, the other's access is not over.",
	  .setup = refs_2, .threads = { free_too_early, free_too_early },
	  .fails = "frees what" },
	{ .name = "leak", .claim = "A block left over is reported.",
	  .setup = leak, .threads = { store_1 },
	  .fails = "leak: block 0" },
	{ .name = "use_after_free", .claim = "A freed block is not touched.",
	  .setup = touch_freed, .threads = { store_1 },
	  .fails = "in freed block 0" },
	{ .name = "double_free", .claim = "Nor freed again.",
	  .setup = free_twice, .threads = { store_1 },
	  .fails = "freed twice" },

	{ .name = "thread_local", .claim = "Each thread has its own thread-locals.",
	  .setup = register_local, .threads = { count_local, count_local } },
	{ .name = "choose", .claim = "All choices are explored.",
	  .setup = zero, .threads = { choose },
	  .check = show_r01, .outcomes = OUTCOMES("0 0", "0 1", "1 0", "1 1", "2 0", "2 1") },
	{ .name = "crash", .claim = "A bad address is a failure, not the end.",
	  .setup = zero, .threads = { crash },
	  .fails = "crash" },
	{ .name = "run_on", .claim = "A loop without end is a failure.",
	  .setup = zero, .threads = { run_on },
	  .fails = "more stores than" },

	/* The other ways to search reach the same outcomes. */
	{ .name = "sb_bounded", .claim = "Two preemptions are enough for store buffering.",
	  .setup = zero, .threads = { sb_relaxed_1, sb_relaxed_2 },
	  .check = show_r01, .outcomes = ALL_TWO_BITS, .preemptions = 2 },
	{ .name = "iriw_partial", .claim = "A search cut short is completed at random.",
	  .setup = zero, .threads = { iriw_w1_release, iriw_w2_release, iriw_r1_acquire, iriw_r2_acquire },
	  .check = show_r0123, .outcomes = OUTCOMES(IRIW_ALL_BUT_CONTRARY, "1 0 1 0"), .partial = true, .executions = 10 },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const struct model_harness h = { .name = "litmus", .scenarios = scenarios };

	return model_main(argc, argv, &h);
}
