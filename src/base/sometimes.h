/* SPDX-License-Identifier: MIT */
/*
 * sometimes.h - what has to happen in some simulated run, or the simulations do not come to
 * where the difficulties are. tools/sometimes.py reads the claims from the sources, and from
 * what a check's tests have written; one that nothing made true is a failure.
 *
 * TTI_SOMETIMES  with TT_VERIFY only: a release build has none of it. Not in models, where
 *                each access is a point of choice.
 */
#ifndef TTI_BASE_SOMETIMES_H
#define TTI_BASE_SOMETIMES_H

#include <tutti/sometimes.h>

#if defined(TT_VERIFY) && !defined(TT_MODEL)
#define TTI_SOMETIMES(condition, claim) TT_SOMETIMES_COUNT_(condition, claim)
#else
#define TTI_SOMETIMES(condition, claim) ((void)sizeof(!(condition)))
#endif

/* The index-th place that was reached in this process; NULL: there are no more. */
const struct tt_sometimes_place_ *tti_sometimes_place(unsigned index, uint32_t *ret_times);

#endif
