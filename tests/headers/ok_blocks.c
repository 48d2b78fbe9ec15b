/* SPDX-License-Identifier: MIT */
/*
 * Groups, scopes, shields and their one-call forms: nested, in every compiler.
 */
#include <tutti/tutti.h>

static TT_TASK(work, (int, n), (int *, ret))
{
	*ret = n;
	return 0;
}

static int step(int x)
{
	return tt_sleep(TT_MS(x));
}

static void undo(int *p)
{
	*p = 0;
}

static int undo_and_tell(const int *p)
{
	return *p;
}

int plain_group(int id);
int plain_group(int id)
{
	int x = 0, v = 0;
	TT_GROUP(g);

	tt_go(&g, work, id, &x);
	tt_go(&g, work, id, &v);
	TT_TRY_IN(&g, step(1));
	return tt_group_end(&g, x + v);
}

/* Blocks in blocks, in one C block and in inner ones; names that the macros use too. */
int nested(int x);
int nested(int x)
{
	int v = 0, r_ = 1, rc = 2;

	TT_DEFER(undo, &v);
	TT_TRY(step(1));
	TT_TRY(r_);
	{
		TT_SCOPE(s, TT_SEC(1));
		TT_GROUP(g);
		TT_SHIELD(site, TT_MS(10));

		TT_TRY_IN(&site, step(x));
		TT_TRY_IN(&g, r_);
		TT_TRY_IN(&s, rc);
		tt_go(&g, work, 1, &v);
		if (x > 3) {
			TT_SCOPE_UNTIL(on, tt_now() + TT_SEC(2));
			TT_TRY_IN(&on, step(2));
			TT_TRY_IN(&s, step(2));
			rc = tt_scope_end(&on, 0);
		}
		while (x-- > 0) {
			TT_GROUP(inner);
			tt_go(&inner, work, x, &v);
			TT_TRY_IN(&inner, tt_group_drain(&inner));
			TT_TRY_IN(&g, tt_group_finish(&inner, rc));
		}
		rc = tt_scope_end(&s, rc);
	}
	/* Out of the C block, the plain form is legal again. */
	TT_TRY(rc);
	return step(1);
}

int with_options(void);
int with_options(void)
{
	tt_group_options servers = { "servers", TT_ISOLATE, 100, true, TT_RESTART_NEVER, { 0, 0, 0, 0 } };
	const tt_group_options race = { NULL, TT_FIRST_SUCCESS, 0, false, TT_RESTART_NEVER, { 0, 0, 0, 0 } };
	int out = 0;
	TT_GROUP_WITH(g, &servers);
	TT_GROUP_WITH(h, &race);
	tt_canceller *c = tt_group_canceller(&g);

	tt_go(&g, work, 1, &out);
	tt_go(&h, work, 2, &out);
	tt_cancel(c);
	tt_cancel_with(c, TT_EPROTO, "%s, %d", "no longer needed", 1);
	tt_canceller_put(c);
	tt_group_cancel(&h);
	return tt_group_end(&g, 0);
}

/* One-call forms nest, stand inside open blocks, in arguments, and in each other. */
int one_call(void);
int one_call(void)
{
	int rc;

	TT_TRY(TT_WITHIN(TT_SEC(5), step(1)));
	rc = TT_WITHIN(TT_SEC(5), TT_SHIELDED(TT_SEC(1), TT_UNTIL_STOP(step(2))));
	if (TT_UNTIL_STOP(TT_WITHIN(TT_MS(1), step(1))) == TT_ESTOP)
		rc = step(TT_WITHIN(1, step(TT_WITHIN(2, 3))));
	{
		TT_SCOPE(s, TT_SEC(1));
		TT_TRY_IN(&s, TT_WITHIN(TT_MS(5), plain_group(1)));
		TT_TRY_IN(&s, TT_SHIELDED(TT_MS(5), TT_WITHIN(TT_MS(2), step(rc))));
		rc = tt_scope_end(&s, TT_UNTIL_STOP(nested(1)));
	}
	return TT_WITHIN(TT_SEC(1), rc) + TT_WITHIN(TT_SEC(1), rc);
}

/* A switch: braces after the label, and any number of exits. */
int branches(int kind);
int branches(int kind)
{
	switch (kind) {
	case 1: {
		TT_GROUP(g);
		return tt_group_end(&g, 1);
	}
	case 2: {
		TT_SCOPE(s, 0);
		if (tt_stopping())
			return tt_scope_end(&s, TT_ESTOP);
		return tt_scope_end(&s, tt_checkpoint());
	}
	default:
		return tt_yield();
	}
}

/* Deferred calls: any pointer, several in a block, results dropped, macros as functions. */
TT_CHAN_TYPE(int_chan, int);

int deferred(tt_mutex *m, int_chan *shared);
int deferred(tt_mutex *m, int_chan *shared)
{
	static int values[2];
	int_chan ch;

	TT_TRY(tt_chan_init(&ch, 1));
	TT_DEFER(tt_chan_fini, &ch);
	TT_DEFER(tt_chan_close, shared);
	TT_DEFER(undo, values);
	TT_DEFER(undo, &values[1]);
	TT_DEFER(undo_and_tell, &values[0]);
	TT_LOCK(m);
	TT_GROUP(g);

	tt_go(&g, work, 1, &values[0]);
	return tt_group_end(&g, 0);
}

int cancel_a_scope(void);
int cancel_a_scope(void)
{
	TT_SCOPE(s, TT_NEVER);
	tt_canceller *c = tt_scope_canceller(&s);

	tt_cancel(c);
	tt_canceller_put(c);
	return tt_scope_end(&s, 0);
}

#ifndef __cplusplus
int options_in_place(void);
int options_in_place(void)
{
	TT_GROUP_WITH(g, &(tt_group_options){ .name = "in place", .max_children = 3 });

	return tt_group_end(&g, 0);
}
#endif
