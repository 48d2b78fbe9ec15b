/* SPDX-License-Identifier: MIT */
/* only: c */
/*
 * Select in C: designated arms, holes, every kind of arm, sixteen of them.
 */
#include <tutti/tutti.h>

struct item {
	int id;
};

TT_CHAN_TYPE(item_chan, struct item);

int designated(item_chan *ch, tt_interval *beat, tt_reader *reader);
int designated(item_chan *ch, tt_interval *beat, tt_reader *reader)
{
	enum { ON_MSG, ON_BEAT, ON_SOCK, ON_STOP };
	struct item msg;
	int arm = tt_select([ON_MSG] = TT_ON_RECV(ch, &msg), [ON_BEAT] = TT_ON_TICK(beat),
	                    [ON_SOCK] = TT_ON_READER(reader), [ON_STOP] = TT_ON_STOP());

	switch (arm) {
	case ON_MSG:
		return msg.id;
	case ON_BEAT:
	case ON_SOCK:
		return 1;
	case ON_STOP:
		return 2;
	default:
		return arm;
	}
}

int every_arm(item_chan *ch, tt_fd *fd, tt_mutex *m, tt_semaphore *s, tt_notify *n,
              tt_signals *signals, tt_task *t);
int every_arm(item_chan *ch, tt_fd *fd, tt_mutex *m, tt_semaphore *s, tt_notify *n,
              tt_signals *signals, tt_task *t)
{
	struct item in, out = { 1 };
	const struct item *kept = &out;
	int rc = 0, sig = 0;

	rc = tt_select(TT_ON_RECV_RC(ch, &in, &rc), TT_ON_SEND(ch, &out),
	               TT_ON_SEND_RC(ch, kept, &rc), TT_ON_TIMEOUT(TT_MS(5)),
	               TT_ON_DEADLINE(tt_now() + TT_SEC(1)), TT_ON_READABLE(fd),
	               TT_ON_WRITABLE(fd), TT_ON_READABLE_RC(fd, &rc),
	               TT_ON_WRITABLE_RC(fd, &rc), TT_ON_TASK_END(t), TT_ON_LOCK(m),
	               TT_ON_PERMIT(s, 2), TT_ON_NOTIFY(n), TT_ON_SIGNAL(signals, &sig),
	               TT_ON_STOP(), TT_ON_IF(ch != NULL, TT_ON_RECV(ch, &in)));
	return rc;
}

/* Holes, one arm, a conditional one, in an expression, under a timeout, in a loop. */
int shapes(item_chan *ch, bool on);
int shapes(item_chan *ch, bool on)
{
	struct item x;
	int v;

	if (tt_select([3] = TT_ON_RECV(ch, &x)) == 3)
		return 1;
	v = TT_WITHIN(TT_MS(5), tt_select_biased(TT_ON_IF(on, TT_ON_SEND(ch, &(struct item){ 7 })),
	                                         TT_ON_STOP()));
	TT_TRY(v);
	while ((v = tt_select(TT_ON_RECV(ch, &x), TT_ON_TIMEOUT(1))) >= 0)
		continue;
	return v;
}

int inside(item_chan *ch);
int inside(item_chan *ch)
{
	struct item it;
	TT_GROUP(g);

	for (;;) {
		int arm = tt_select(TT_ON_RECV(ch, &it), TT_ON_STOP());

		switch (arm) {
		case 0: TT_TRY_IN(&g, it.id); break;
		case 1: return tt_group_end(&g, 0);
		default: return tt_group_end(&g, arm);
		}
	}
}
