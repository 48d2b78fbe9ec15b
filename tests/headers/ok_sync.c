/* SPDX-License-Identifier: MIT */
/*
 * Locks, permits, notifications, intervals, in every compiler.
 */
#include <tutti/tutti.h>

static tt_mutex still;

struct shared {
	tt_mutex lock;
	tt_semaphore permits;
	tt_notify changed;
	int n;
};

static TT_TASK(add, (struct shared *, x))
{
	TT_PERMIT(&x->permits);
	TT_LOCK(&x->lock);
	TT_LOCK(&still);

	x->n++;
	{
		TT_LOCK(&still);
		x->n++;
	}
	return 0;
}

int permits(struct shared *s);
int permits(struct shared *s)
{
	TT_GROUP(g);
	TT_PERMIT_IN(&g, &s->permits);
	TT_LOCK(&s->lock);

	tt_go(&g, add, s);
	return tt_group_end(&g, 0);
}

int life(void);
int life(void)
{
	struct shared s;
	tt_interval pace = tt_interval_every(TT_MS(100));
	int64_t start = tt_now();

	pace.missed = TT_MISSED_BURST;
	tt_mutex_init(&s.lock);
	tt_semaphore_init(&s.permits, 3);
	tt_notify_init(&s.changed);
	s.n = 0;
	TT_TRY(tt_mutex_lock(&s.lock));
	tt_mutex_unlock(&s.lock);
	if (tt_mutex_try_lock(&s.lock) == TT_EBUSY)
		tt_mutex_unlock(&s.lock);
	TT_TRY(tt_semaphore_acquire(&s.permits, 2));
	tt_semaphore_release(&s.permits, 2);
	TT_IGNORE(tt_semaphore_try_acquire(&s.permits, 1));
	tt_notify_one(&s.changed);
	tt_notify_all(&s.changed);
	TT_TRY(tt_notify_wait(&s.changed));
	TT_TRY(tt_interval_tick(&pace));
	TT_TRY(tt_sleep(tt_now() - start));
	tt_notify_fini(&s.changed);
	tt_semaphore_fini(&s.permits);
	tt_mutex_fini(&s.lock);
	return tt_wall() > 0;
}
