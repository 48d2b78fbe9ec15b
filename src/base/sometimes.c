/* SPDX-License-Identifier: MIT */
/*
 * sometimes.c - the places of TT_SOMETIMES() that were reached, in the order of their first time.
 *
 * Rejected    A section of the program with all places in it: shared libraries have one each, and
 *             C++ compilers refuse it for inline functions.
 */
#include "base/sometimes.h"

#include "base/atomic.h"
#include "base/panic.h"

#define PLACES_MAX 4096

static tti_atomic_ptr places[PLACES_MAX];
static tti_atomic_u32 places_n;

static tti_atomic_u32 *times_of(struct tt_sometimes_place_ *place)
{
	return (tti_atomic_u32 *)&place->times;
}

void tt_sometimes_(struct tt_sometimes_place_ *place)
{
	uint32_t i;

	/* relaxed: a count. */
	if (tti_fetch_add_relaxed(times_of(place), 1) != 0)
		return;
	/* relaxed: a slot for each. */
	i = tti_fetch_add_relaxed(&places_n, 1);
	TT_REQUIRE(i < PLACES_MAX, "TT_SOMETIMES: more than %d places", PLACES_MAX);
	/* relaxed: what a reader looks at was there when the program began. */
	tti_store_relaxed(&places[i], place);
}

const struct tt_sometimes_place_ *tti_sometimes_place(unsigned index, uint32_t *ret_times)
{
	/* relaxed: see above; NULL as well when its slot is being filled just now. */
	struct tt_sometimes_place_ *place = index < PLACES_MAX ? tti_load_relaxed(&places[index]) : NULL;

	/* relaxed: a count. */
	*ret_times = place != NULL ? tti_load_relaxed(times_of(place)) : 0;
	return place;
}
