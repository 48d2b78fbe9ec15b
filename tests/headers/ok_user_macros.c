/* SPDX-License-Identifier: MIT */
/*
 * A program may have macros of any name: those of <stdnoreturn.h>, a fortified printf(), or the
 * short words of its own. The headers do not stumble over them, also where their macros are used.
 */
#ifndef __cplusplus
#include <stdnoreturn.h>
#endif

#define printf(...) my_printf(__VA_ARGS__)
#define format my_format
#define unused my_unused
#define cleanup my_cleanup
#define constructor my_constructor
#define always_inline my_always_inline
#define visibility my_visibility
#define warn_unused_result my_warn_unused_result
#define tls_model my_tls_model
#define likely(x) my_likely(x)

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_ERROR_CODES(user, { -20001, "Nameless" });
TT_CHAN_TYPE(int_chan, int);
TT_SORT(ints, int, a, b, *a < *b);

int everything(tt_mutex *m, tt_rwlock *l);
int everything(tt_mutex *m, tt_rwlock *l)
{
	TT_LOCK(m);
	TT_READ_LOCK(l);
	TT_SCOPE(s, TT_SEC(1));
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_checkpoint());
	return tt_scope_end(&s, tt_group_end(&g, 0));
}
