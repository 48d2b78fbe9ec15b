/* SPDX-License-Identifier: MIT */
/* spin.c - the per-thread count that lets a switch assert law 8; see spin.h. */
#include "base/spin.h"

__thread int tti_spin_held;
void (*tti_spin_yield)(void);
