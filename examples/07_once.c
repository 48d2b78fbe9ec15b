/* SPDX-License-Identifier: MIT */
/*
 * 07_once.c - a configuration that is loaded when it is first needed: once, however many need it
 * at the same time; again, if that failed or its caller was cancelled.
 */
#include <stdio.h>
#include <tutti/tutti.h>

struct config {
	int port;
};

struct service {
	tt_once loaded;
	struct config config;
	int attempts, used;
	int64_t takes;
	bool broken;
};

TT_TASK(load_config, (struct service *, s))
{
	s->attempts++;
	TT_TRY(tt_sleep(s->takes));
	if (s->broken)
		return tt_fail(TT_EPROTO, "line 3: port is not a number");
	s->config.port = 8080;
	return 0;
}

/* Every request makes sure that there is a configuration. */
TT_TASK(request, (struct service *, s))
{
	TT_TRY(tt_once_do(&s->loaded, load_config, s));
	s->used += s->config.port == 8080;
	return 0;
}

static int requests(struct service *s)
{
	TT_GROUP(g);
	for (int i = 0; i < 5; i++)
		tt_go(&g, request, s);
	return tt_group_end(&g, 0);
}

/* An initialiser that asks for itself. */
TT_TASK(load_in_a_circle, (struct service *, s))
{
	return tt_once_do(&s->loaded, load_config, s);
}

TT_TASK(app)
{
	struct service s = { .takes = TT_MS(5) };
	int rc;

	tt_once_init(&s.loaded, NULL);
	TT_DEFER(tt_once_fini, &s.loaded);

	/* Failure: the one that ran it hears of it; it may be tried again. */
	s.broken = true;
	rc = tt_once_do(&s.loaded, load_config, &s);
	printf("attempt %d: %s\n", s.attempts, tt_error_name(rc));
	if (rc != TT_EPROTO)
		return rc;
	s.broken = false;

	rc = tt_once_do(&s.loaded, load_in_a_circle, &s);
	printf("in a circle: %s\n", tt_error_name(rc));
	if (rc != TT_EDEADLK)
		return rc;

	/* Cancellation: the same. */
	rc = TT_WITHIN(TT_MS(1), tt_once_do(&s.loaded, load_config, &s));
	printf("attempt %d: %s\n", s.attempts, tt_error_name(rc));
	if (rc != TT_ETIMEDOUT)
		return rc;

	/* Success: five need it, one loads it. */
	TT_TRY(requests(&s));
	printf("attempt %d: used by %d\n", s.attempts, s.used);
	return 0;
}

int main(void)
{
	return tt_main(app);
}
