/* SPDX-License-Identifier: MIT */
/*
 * Once and single flight, in every compiler.
 */
#include <tutti/tutti.h>

struct config {
	int port;
};

TT_FLIGHT_TYPE(config_flight, struct config);

static const tt_once_options recorded = { TT_ONCE_RECORD, 0, TT_MS(1), TT_SEC(1) };
static tt_once once = TT_ONCE_INIT;
static tt_once once_recorded = TT_ONCE_INIT_WITH(&recorded);

static void drop(int n)
{
	(void)n;
}

static TT_TASK(load, (const char *, path), (struct config *, ret), (int, n, drop))
{
	ret->port = path[0] + n;
	return 0;
}

static TT_TASK(nothing)
{
	return 0;
}

int all(config_flight *f, const char *path, struct config *c);
int all(config_flight *f, const char *path, struct config *c)
{
	tt_once own;

	tt_once_init(&own, NULL);
	tt_flight_init(f);
	TT_TRY(tt_once_do(&once, load, path, c, 1));
	TT_TRY(tt_once_do(&own, nothing));
	TT_TRY(TT_WITHIN(TT_SEC(1), tt_once_do(&once_recorded, load, path, c, 2)));
	TT_TRY(tt_flight_do(f, tt_key_text(path), c, load, path, c, 3));
	TT_TRY(tt_flight_do(f, tt_key_bytes(c, sizeof(*c)), c, load, path, c, 3));
	tt_flight_fini(f);
	tt_once_fini(&own);
	return tt_once_is_done(&once);
}
