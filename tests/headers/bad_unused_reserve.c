/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* Whether there is a slot must be looked at. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

void wrong(user_chan *ch);
void wrong(user_chan *ch)
{
	TT_SLOT(slot, ch);

	tt_reserve(ch, &slot);
}
