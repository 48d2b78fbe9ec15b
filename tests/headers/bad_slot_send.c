/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to an item of this channel */
/* An item of another type into a slot. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

int wrong(user_chan *ch, struct order *o);
int wrong(user_chan *ch, struct order *o)
{
	TT_SLOT(slot, ch);

	TT_TRY(tt_reserve(ch, &slot));
	tt_slot_send(&slot, o);
	return 0;
}
