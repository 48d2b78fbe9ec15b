/* SPDX-License-Identifier: MIT */
/*
 * fault.c - which faults a seed turns on, and the dice.
 *
 * Swarm testing (Groce, Zhang, Eide, Chen and Regehr, ISSTA 2012): a run with every
 * fault on reaches fewer states than many runs with a random half of them each, because
 * faults hide each other: where every connection is refused, none is ever reset.
 */
#include "base/panic.h"
#include "sim/sim.h"

/* How often a fault is rolled decides how rare it must be: rates are drawn between
 * 2^-rare and 2^-frequent, evenly in the exponent. */
static const struct {
	const char *name;
	uint8_t frequent, rare;
} kinds[TT_FAULT_KINDS] = {
	[TT_FAULT_LATENCY] = { "latency", 0, 1 },
	[TT_FAULT_JITTER] = { "jitter", 2, 5 },
	[TT_FAULT_PARTIAL_READ] = { "partial read", 1, 4 },
	[TT_FAULT_PARTIAL_WRITE] = { "partial write", 1, 4 },
	[TT_FAULT_SMALL_BUFFERS] = { "small buffers", 0, 2 },
	[TT_FAULT_RETRY] = { "retry", 2, 5 },
	[TT_FAULT_LATE_COMPLETION] = { "late completion", 1, 5 },
	[TT_FAULT_CANCEL_RACE] = { "cancel race", 0, 2 },
	[TT_FAULT_QUEUE_FULL] = { "queue full", 2, 5 },
	[TT_FAULT_SPURIOUS_WAKE] = { "spurious wake", 2, 6 },
	[TT_FAULT_SLEEP_RACE] = { "sleep race", 0, 2 },
	[TT_FAULT_STARVATION] = { "starvation", 5, 9 },
	[TT_FAULT_LATE_TIMER] = { "late timer", 2, 5 },
	[TT_FAULT_CLOCK_JUMP] = { "clock jump", 6, 10 },
	[TT_FAULT_POOL_DELAY] = { "pool delay", 0, 3 },
	[TT_FAULT_SLOW_RESOLVER] = { "slow resolver", 1, 4 },
	[TT_FAULT_ACCEPT_EMFILE] = { "accept without descriptors", 3, 6 },
	[TT_FAULT_CONNECT_REFUSED] = { "connect refused", 2, 6 },
	[TT_FAULT_CONNECT_TIMEOUT] = { "connect timeout", 2, 6 },
	[TT_FAULT_RESET] = { "reset", 2, 5 },
	[TT_FAULT_HALF_OPEN] = { "half-open", 2, 6 },
	[TT_FAULT_RESOLVER] = { "resolver failure", 2, 4 },
	[TT_FAULT_UDP_LOSS] = { "datagram lost", 2, 5 },
	[TT_FAULT_UDP_REORDER] = { "datagram overtaken", 1, 4 },
	[TT_FAULT_UDP_DUPLICATE] = { "datagram doubled", 2, 5 },
	[TT_FAULT_ALLOCATION] = { "allocation", 5, 9 },
	[TT_FAULT_FILE_SHORT] = { "short file transfer", 1, 4 },
	[TT_FAULT_FILE_SLOW] = { "slow disk", 1, 4 },
	[TT_FAULT_FILE_EIO] = { "disk error", 3, 6 },
	[TT_FAULT_FILE_ENOSPC] = { "disk full", 3, 6 },
	[TT_FAULT_FILE_TORN] = { "torn page", 0, 2 }, /* drawn at a power cut, where allowed */
	[TT_FAULT_FILE_SYNC_LOSS] = { "sync lost its data", 1, 3 },
};

const char *tt_sim_fault_name(enum tt_fault kind)
{
	TT_REQUIRE((unsigned)kind < TT_FAULT_KINDS, "tt_sim_fault_name: no kind %d", (int)kind);
	return kinds[kind].name;
}

/* Between 2^-rare and 2^-frequent of 2^32. */
static uint32_t draw_rate(struct tti_rng *r, unsigned frequent, unsigned rare)
{
	unsigned exponent = frequent + (unsigned)tti_rng_below(r, rare - frequent + 1u);

	return exponent == 0 ? UINT32_MAX : UINT32_C(1) << (32 - exponent);
}

static bool is_udp(unsigned kind)
{
	return kind == TT_FAULT_UDP_LOSS || kind == TT_FAULT_UDP_REORDER || kind == TT_FAULT_UDP_DUPLICATE;
}

void tti_sim_faults_init(struct tti_sim *sim, uint64_t allowed)
{
	struct tti_sim_faults *f = &sim->faults;
	struct tti_rng udp, files;

	*f = (struct tti_sim_faults){ 0 };
	tti_rng_init(&f->rng, sim->seed, 2);
	/* From a stream of their own: seeds that were noted before there were datagrams keep
	 * what they mean; likewise files. */
	tti_rng_init(&udp, sim->seed, 5);
	tti_rng_init(&files, sim->seed, 6);
	for (unsigned i = 0; i < TT_FAULT_KINDS; i++) {
		struct tti_rng *r = is_udp(i) ? &udp : i > TT_FAULT_ALLOCATION ? &files : &f->rng;
		uint32_t rate = draw_rate(r, kinds[i].frequent, kinds[i].rare);
		bool on = tti_rng_below(r, 2) == 0;

		/* Drawn for every kind, so that forbidding one leaves the others as they were. */
		if (on && (allowed & TT_FAULT_BIT(i)) != 0)
			f->rate[i] = rate;
	}
	/* 64 us to 65 ms, and 8 us to 16 ms. */
	f->latency_max = INT64_C(1) << (16 + tti_rng_below(&f->rng, 11));
	f->delay_max = INT64_C(1) << (13 + tti_rng_below(&f->rng, 12));
}

uint64_t tti_sim_roll(struct tti_sim *sim, uint64_t n)
{
	return tti_rng_below(&sim->faults.rng, n);
}

bool tti_sim_fault(struct tti_sim *sim, enum tt_fault kind)
{
	struct tti_sim_faults *f = &sim->faults;

	if (f->rate[kind] == 0)
		return false;
	if ((uint32_t)tti_rng_next(&f->rng) > f->rate[kind])
		return false;
	f->count[kind]++;
	tti_sim_trace(sim, TTI_SIM_FAULT, kinds[kind].name, f->count[kind], 0);
	return true;
}
