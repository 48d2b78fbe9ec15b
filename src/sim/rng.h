/* SPDX-License-Identifier: MIT */
/*
 * rng.h - the generator of the simulator: xoshiro256** seeded through splitmix64
 * (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018). The
 * same numbers on every machine and from every compiler.
 */
#ifndef TTI_SIM_RNG_H
#define TTI_SIM_RNG_H

#include <stdint.h>

struct tti_rng {
	uint64_t s[4];
};

static inline uint64_t tti_mix64(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* stream tells apart the generators of one seed. */
static inline void tti_rng_init(struct tti_rng *r, uint64_t seed, uint64_t stream)
{
	uint64_t x = seed ^ tti_mix64(stream + UINT64_C(0x9e3779b97f4a7c15));

	for (int i = 0; i < 4; i++) {
		x += UINT64_C(0x9e3779b97f4a7c15);
		r->s[i] = tti_mix64(x);
	}
}

static inline uint64_t tti_rotl64(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static inline uint64_t tti_rng_next(struct tti_rng *r)
{
	uint64_t result = tti_rotl64(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = tti_rotl64(r->s[3], 45);
	return result;
}

/* [0, n), n > 0. The bias of the multiplication is below n / 2^64. */
static inline uint64_t tti_rng_below(struct tti_rng *r, uint64_t n)
{
	return (uint64_t)((unsigned __int128)tti_rng_next(r) * n >> 64);
}

#endif
