/* SPDX-License-Identifier: MIT */
/*
 * 02_streams.c - a pipeline under backpressure: two readers, merged, mapped four at a time in
 * order, sent in batches; then what goes wrong: a source that fails, and a consumer that is
 * in no hurry and is cut off.
 * Every channel is bounded: the slowest part sets the pace of all. The end travels by itself:
 * who produces into a channel closes it when it is done.
 */
#include <stdio.h>
#include <tutti/tutti.h>

typedef struct batch { size_t n; int items[4]; } batch;

TT_CHAN_TYPE(int_chan, int);
TT_CHAN_TYPE(batch_chan, batch);

/* One of the sources; -1 as count: it fails at once. */
TT_TASK(read_numbers, (int_chan *, out), (int, first), (int, count))
{
	TT_CLOSE_AT_END(out);

	if (count < 0)
		return tt_fail(TT_EIO, "source %d cannot be read", first);
	for (int i = first; i < first + count; i++)
		TT_TRY(tt_send(out, &i)); /* waits while the others are behind */
	return 0;
}

/* What is done to each number: square it, and leave the multiples of 3 out. */
TT_TASK(square, (int *, in), (int *, ret_out))
{
	TT_TRY(tt_sleep(*in % 2 == 0 ? TT_MS(2) : TT_MS(1))); /* the work; neighbours overtake */
	*ret_out = *in * *in;
	return *in % 3 != 0;
}

TT_TASK(merge_both, (int_chan *, out), (int_chan *, in))
{
	int_chan *const both[] = { &in[0], &in[1] };

	return tt_merge(out, both, 2);
}

TT_TASK(square_all, (int_chan *, out), (int_chan *, in)) { return tt_map(out, in, 4, square); }
TT_TASK(pack, (batch_chan *, out), (int_chan *, in)) { return tt_batch(out, in, TT_SEC(1)); }

static int pipeline(int_chan *ch, batch_chan *batches, int count)
{
	batch b;
	int rc;

	TT_GROUP(g);
	tt_go(&g, read_numbers, &ch[0], 1, 8);
	tt_go(&g, read_numbers, &ch[1], 100, count);
	tt_go(&g, merge_both, &ch[2], ch);
	tt_go(&g, square_all, &ch[3], &ch[2]);
	tt_go(&g, pack, batches, &ch[3]);
	while ((rc = tt_recv(batches, &b)) > 0)
		printf("batch of %zu: from %d to %d\n", b.n, b.items[0], b.items[b.n - 1]);
	return tt_group_end(&g, rc);
}

static int run(int second_count)
{
	int_chan ch[4] = { 0 };
	batch_chan batches = { 0 };
	int rc = tt_chan_init(&batches, 1);

	for (int i = 0; i < 4 && rc >= 0; i++)
		rc = tt_chan_init(&ch[i], 2);
	if (rc >= 0)
		rc = pipeline(ch, &batches, second_count);
	for (int i = 0; i < 4; i++)
		tt_chan_fini(&ch[i]);
	tt_chan_fini(&batches);
	return rc;
}

TT_TASK(app)
{
	int rc;

	TT_TRY(run(0)); /* the second source is empty: it ends, the first goes on */
	rc = run(-1);
	if (rc != TT_EIO)
		return rc;
	printf("a source failed: %s\n", tt_error_name(rc));
	rc = TT_WITHIN(TT_MS(1), run(0));
	if (rc == TT_ETIMEDOUT)
		printf("cut off: %s\n", tt_error_name(rc));
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

int main(void)
{
	return tt_main(app);
}
