/* SPDX-License-Identifier: MIT */
/*
 * Select with arms in plain order: the form that C and C++ share.
 */
#include <tutti/tutti.h>

TT_CHAN_TYPE(int_chan, int);

int every_arm(int_chan *ch, tt_chan *raw, tt_fd *fd, tt_reader *reader, tt_mutex *m,
              tt_semaphore *s, tt_notify *n, tt_signals *signals, tt_task *t, tt_interval *i);
int every_arm(int_chan *ch, tt_chan *raw, tt_fd *fd, tt_reader *reader, tt_mutex *m,
              tt_semaphore *s, tt_notify *n, tt_signals *signals, tt_task *t, tt_interval *i)
{
	int in = 0, rc = 0, sig = 0;
	const int out = 1;

	TT_TRY(tt_select(TT_ON_STOP()));
	TT_TRY(tt_select(TT_ON_RECV(ch, &in), TT_ON_SEND(ch, &out), TT_ON_RECV(raw, &in)));
	TT_TRY(tt_select(TT_ON_RECV_RC(ch, &in, &rc), TT_ON_SEND_RC(ch, &out, &rc)));
	TT_TRY(tt_select_biased(TT_ON_READABLE(fd), TT_ON_WRITABLE_RC(fd, &rc),
	                        TT_ON_READER(reader), TT_ON_READER_RC(reader, &rc)));
	return tt_select(TT_ON_TIMEOUT(0), TT_ON_DEADLINE(TT_NEVER), TT_ON_TICK(i),
	                 TT_ON_TASK_END(t), TT_ON_LOCK(m), TT_ON_PERMIT(s, 1), TT_ON_NOTIFY(n),
	                 TT_ON_SIGNAL(signals, &sig), TT_ON_IF(t != NULL, TT_ON_TASK_END(t)),
	                 TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(),
	                 TT_ON_STOP(), TT_ON_IF(in > 0, TT_ON_IF(out > 0, TT_ON_STOP())));
}

int nested(int_chan *ch, int x, int v);
int nested(int_chan *ch, int x, int v)
{
	TT_SCOPE(s, TT_MS(1));

	TT_TRY_IN(&s, tt_select(TT_ON_TIMEOUT(tt_select(TT_ON_STOP(), TT_ON_TIMEOUT(x))),
	                        TT_ON_RECV(ch, &v)));
	return tt_scope_end(&s, TT_WITHIN(1, tt_select_biased(TT_ON_SEND(ch, &x))));
}
