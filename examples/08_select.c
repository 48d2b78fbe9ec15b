/* SPDX-License-Identifier: MIT */
/*
 * 08_select.c - a state machine that waits for the first of several things: a job, the time
 * to sum up, room in its outbox, or the word to stop.
 *
 * Exactly one arm takes effect each time; the others leave no trace. An arm that is off
 * (TT_ON_IF) is as if it were not written. What a select returns besides the index of an
 * arm is a code: the input was closed (TT_ECLOSED), or the task was cancelled.
 */
#include <stdio.h>
#include <tutti/tutti.h>

TT_CHAN_TYPE(int_chan, int);

enum { ON_JOB, ON_ROOM, ON_QUIET };

/* Adds up what arrives. A sum is sent on after three numbers, or when 20 ms brought none. */
TT_TASK(adder, (int_chan *, in), (int_chan *, out))
{
	int sum = 0, count = 0, job, arm;

	TT_CLOSE_AT_END(out);
	for (;;) {
		bool full = count == 3;

		arm = tt_select([ON_JOB] = TT_ON_IF(!full, TT_ON_RECV(in, &job)),
		                [ON_ROOM] = TT_ON_IF(full, TT_ON_SEND(out, &sum)),
		                [ON_QUIET] = TT_ON_IF(count > 0 && !full, TT_ON_TIMEOUT(TT_MS(20))));
		switch (arm) {
		case ON_JOB:
			sum += job;
			count++;
			break;
		case ON_ROOM:
			sum = count = 0;
			break;
		case ON_QUIET:
			count = 3; /* what there is goes out now */
			break;
		case TT_ECLOSED:
			printf("adder: the input ended, %d numbers were left over\n", count);
			return 0;
		default:
			return arm; /* cancelled */
		}
	}
}

/* Success, then the end of the input: a failure of the select that the adder handles. */
static int sums(int_chan *in, int_chan *out)
{
	int sum;

	TT_GROUP(g);
	tt_go(&g, adder, in, out);
	for (int i = 1; i <= 4; i++)
		TT_TRY_IN(&g, tt_send(in, &i));
	for (int i = 0; i < 2; i++) {
		TT_TRY_IN(&g, tt_recv(out, &sum));
		printf("sum %d\n", sum);
	}
	tt_chan_close(in);
	return tt_group_end(&g, 0);
}

/* Cancellation: a timeout around a wait for what never comes. */
static int nothing_comes(int_chan *silent)
{
	int x, rc = TT_WITHIN(TT_MS(10), tt_select(TT_ON_RECV(silent, &x), TT_ON_STOP()));

	if (rc == TT_ETIMEDOUT)
		printf("nothing came: %s\n", tt_error_name(rc));
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

TT_TASK(app)
{
	int_chan in, out, silent;

	TT_TRY(tt_chan_init(&in, 2));
	TT_DEFER(tt_chan_fini, &in.tt_raw);
	TT_TRY(tt_chan_init(&out, 0));
	TT_DEFER(tt_chan_fini, &out.tt_raw);
	TT_TRY(tt_chan_init(&silent, 0));
	TT_DEFER(tt_chan_fini, &silent.tt_raw);

	TT_TRY(sums(&in, &out));
	return nothing_comes(&silent);
}

int main(void)
{
	return tt_main(app);
}
