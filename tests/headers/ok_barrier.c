/* SPDX-License-Identifier: MIT */
/*
 * Barriers, latches, the reader-writer lock and the condition variable, in every compiler.
 */
#include <tutti/tutti.h>

struct shared {
	tt_barrier b;
	tt_latch l;
	tt_rwlock rw;
	tt_mutex m;
	tt_condvar c;
	tt_semaphore s;
	int n;
};

static tt_rwlock still;

static TT_TASK(part, (struct shared *, x))
{
	int rc = tt_barrier_wait(&x->b);

	TT_TRY(rc);
	{
		TT_READ_LOCK(&x->rw);
		TT_WRITE_LOCK(&still);
		x->n++;
	}
	TT_WRITE_LOCK(&x->rw);
	TT_LOCK(&x->m);
	while (x->n == 0)
		TT_TRY(tt_condvar_wait(&x->c, &x->m));
	tt_condvar_signal(&x->c);
	tt_condvar_broadcast(&x->c);
	tt_latch_count_down(&x->l);
	return 0;
}

int all(struct shared *x);
int all(struct shared *x)
{
	int rc = 0, arm;

	TT_GROUP(g);
	tt_go(&g, part, x);
	arm = tt_select(TT_ON_LATCH(&x->l), TT_ON_PERMIT_RC(&x->s, 1, &rc));
	TT_TRY_IN(&g, arm);
	TT_TRY_IN(&g, tt_latch_wait(&x->l));
	TT_TRY_IN(&g, tt_rwlock_read(&x->rw));
	tt_rwlock_unlock(&x->rw);
	TT_TRY_IN(&g, tt_rwlock_write(&x->rw));
	tt_rwlock_downgrade(&x->rw);
	tt_rwlock_unlock(&x->rw);
	if (tt_rwlock_try_read(&x->rw) == 0 || tt_rwlock_try_write(&x->rw) == 0)
		tt_rwlock_unlock(&x->rw);
	tt_semaphore_close(&x->s);
	return tt_group_end(&g, tt_latch_try_wait(&x->l) == TT_EAGAIN);
}

int life(struct shared *x);
int life(struct shared *x)
{
	tt_barrier_init(&x->b, 2);
	tt_latch_init(&x->l, 1);
	tt_rwlock_init(&x->rw);
	tt_condvar_init(&x->c);
	tt_barrier_break(&x->b);
	if (tt_barrier_is_broken(&x->b))
		tt_barrier_reset(&x->b);
	tt_condvar_fini(&x->c);
	tt_rwlock_fini(&x->rw);
	tt_latch_fini(&x->l);
	tt_barrier_fini(&x->b);
	return TT_EBROKEN;
}
