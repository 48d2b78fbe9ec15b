/* SPDX-License-Identifier: MIT */
/* expect: an untyped channel */
/* tt_chan_init of an untyped channel: the size of its items is not known. */
#include <tutti/tutti.h>

int wrong(tt_chan *ch);
int wrong(tt_chan *ch)
{
	return tt_chan_init(ch, 4);
}
