/* SPDX-License-Identifier: MIT */
/*
 * specs.h - what the spec_*.c have in common, and the list of them.
 */
#ifndef TT_TESTS_LINEAR_SPECS_H
#define TT_TESTS_LINEAR_SPECS_H

#include "linear.h"

#define LIN_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* LIN_MODEL(T) - a state's own words are a T: model_of(s), const_model_of(s). */
#define LIN_MODEL(T) \
	_Static_assert(sizeof(T) <= LIN_STATE_WORDS * sizeof(uint64_t), "the model fits a state"); \
	_Static_assert(sizeof(struct object) <= LIN_OBJECT_BYTES, "the object fits a run"); \
	static T *model_of(struct lin_state *s) \
	{ \
		return (T *)(void *)s->data; \
	} \
	static const T *const_model_of(const struct lin_state *s) \
	{ \
		return (const T *)(const void *)s->data; \
	}

/* One line each: LIN_SPECS(X) is X(channel) X(semaphore) ... */
#define LIN_SPECS(X) \
	X(channel) X(sized) X(semaphore) X(mutex) X(condvar) X(rwlock) X(notify) X(barrier) X(latch) \
	X(broadcast) X(watch) X(once) X(flight) X(pool) X(hooked) X(group)

#define LIN_DECLARE_(name) extern const struct lin_spec lin_##name;
LIN_SPECS(LIN_DECLARE_)

#endif
