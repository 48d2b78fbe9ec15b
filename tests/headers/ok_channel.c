/* SPDX-License-Identifier: MIT */
/*
 * Typed and untyped channels, with and without destructors, in every compiler.
 */
#include <tutti/tutti.h>

struct item {
	int id;
	char *text;
};

static void item_fini(struct item it)
{
	(void)it;
}

static void text_free(char *text)
{
	(void)text;
}

TT_CHAN_TYPE(item_chan, struct item);
TT_CHAN_TYPE_WITH(owned_chan, struct item, item_fini);
TT_CHAN_TYPE_WITH(text_chan, char *, text_free);
TT_CHAN_TYPE(int_chan, int);
TT_CHAN_TYPE(handler_chan, tt_fd *);

struct app {
	item_chan embedded;
	text_chan texts;
};

static item_chan at_file_scope;

static TT_TASK(produce, (item_chan *, out), (struct item, first), (const struct item *, second))
{
	TT_CLOSE_AT_END(out);
	size_t done = 0;
	struct item many[3] = { first, *second, first };

	TT_TRY(tt_send(out, &first));
	TT_TRY(tt_send(out, second));
	TT_TRY(tt_try_send(out, &many[1]));
	TT_TRY(tt_send_many(out, many, 3, &done));
	TT_TRY(tt_send_many(out, second, 1, &done));
	return tt_give(out, many);
}

int consume(item_chan *in, text_chan *texts, int_chan *numbers);
int consume(item_chan *in, text_chan *texts, int_chan *numbers)
{
	struct item it, batch[8];
	char *text = NULL;
	int n;

	TT_TRY(tt_recv(in, &it));
	TT_TRY(tt_try_recv(in, &it));
	n = tt_recv_many(in, batch, 8, TT_MS(5));
	TT_TRY(n);
	n = tt_try_recv_many(in, &batch[1], 7);
	TT_TRY(n);
	TT_TRY(tt_recv(texts, &text));
	while ((n = tt_recv(texts, &text)) > 0)
		text_free(text);
	TT_TRY(tt_recv(numbers, &n));
	return tt_chan_len(in) > 0 && tt_chan_len(texts) > 0;
}

int life(struct app *app, tt_fd *fd);
int life(struct app *app, tt_fd *fd)
{
	owned_chan owned;
	handler_chan fds;
	struct item it = { 1, NULL };

	TT_TRY(tt_chan_init(&app->embedded, 16));
	TT_TRY(tt_chan_init(&app->texts, 0));
	TT_TRY(tt_chan_init(&at_file_scope, 1));
	TT_TRY(tt_chan_init(&owned, 4));
	TT_TRY(tt_chan_init(&fds, (size_t)2));
	TT_TRY(tt_send(&fds, &fd));
	TT_TRY(tt_give(&owned, &it));
	tt_chan_close(&owned);
	tt_chan_fini(&owned);
	tt_chan_fini(&fds);
	tt_chan_fini(&at_file_scope);
	return 0;
}

/* The untyped calls, for bindings: by their names in parentheses, or on a bare tt_chan. */
int untyped(item_chan *typed, tt_chan *raw, void *p, const void *q);
int untyped(item_chan *typed, tt_chan *raw, void *p, const void *q)
{
	struct item it;

	TT_TRY(tt_chan_init_(raw, 4, sizeof(it), NULL));
	TT_TRY((tt_send)(&typed->tt_raw, p));
	TT_TRY((tt_recv)(&typed->tt_raw, p));
	TT_TRY(tt_send(raw, p));
	TT_TRY(tt_send(raw, q));
	TT_TRY(tt_recv(raw, p));
	TT_TRY(tt_recv(raw, &it));
	tt_chan_close(raw);
	tt_chan_fini(raw);
	return tt_chan_len(raw) == 0;
}

/* Arguments are evaluated once: expressions with effects compile as they stand. */
int effects(item_chan **list, struct item *it);
int effects(item_chan **list, struct item *it)
{
	const item_chan *seen = *list;

	TT_TRY(tt_send(*list++, it++));
	TT_TRY(tt_recv(*list++, ++it));
#ifndef __cplusplus
	TT_TRY(tt_send(*list, &(struct item){ it->id, it->text }));
	TT_TRY(tt_give(*list, (&(struct item){ .id = it->id })));
#endif
	return tt_chan_len(seen) == 0;
}

/* A channel type of a block; in C only without a destructor. */
int in_a_block(void);
int in_a_block(void)
{
	TT_CHAN_TYPE(local_chan, double);
	local_chan ch;
	double x = 1;

	TT_TRY(tt_chan_init(&ch, 1));
	TT_TRY(tt_send(&ch, &x));
	tt_chan_fini(&ch);
	return 0;
}

int start(item_chan *ch, struct item *it);
int start(item_chan *ch, struct item *it)
{
	TT_CLOSE_AT_END(ch);
	TT_GROUP(g);

	tt_go(&g, produce, ch, *it, it);
	tt_go(&g, produce, ch, *it, NULL);
	return tt_group_end(&g, 0);
}
