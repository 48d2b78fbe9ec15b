/* SPDX-License-Identifier: MIT */
/*
 * 06_errors.c - a code keeps its story: where it began, what was being done, in which task, and
 * what else failed beside it. Codes of the application have names too.
 */
#include <stdio.h>
#include <string.h>
#include <tutti/tutti.h>

enum { APP_EVALIDATION = TT_ERROR_DOMAIN_FIRST - 1, APP_EQUOTA = TT_ERROR_DOMAIN_FIRST - 2 };

TT_ERROR_CODES(app, { APP_EVALIDATION, "Validation failed" }, { APP_EQUOTA, "Quota used up" });

TT_TASK(load_user, (int, id))
{
	TT_IGNORE(tt_sleep(TT_NEVER)); /* until the other one fails; then its cleanup fails too */
	return tt_fail(APP_EVALIDATION, "name of %d is empty", id);
}

static int connect_to(const char *host)
{
	return tt_fail(TT_ECONNREFUSED, "connect to %s", host);
}

TT_TASK(load_orders, (int, id))
{
	TT_TRY(tt_sleep(TT_MS(1)));
	return tt_wrap(connect_to("orders.internal:5432"), "orders of %d", id);
}

static int load_profile(int id)
{
	int rc;

	TT_GROUP(g);
	tt_go(&g, load_user, id);
	tt_go(&g, load_orders, id);
	rc = tt_group_end(&g, 0);
	return tt_wrap(rc, "load profile %d", id);
}

/* The steps of the chain, and what failed beside it; places and task numbers are in its text. */
static void tell(const tt_error *e)
{
	for (const tt_error_node *n = tt_error_first(e); n != NULL; n = tt_error_cause(n)) {
		printf("  %s: %s\n", tt_error_name(tt_error_code(n)), tt_error_message(n));
		for (const tt_error_node *s = tt_error_sibling(n); s != NULL; s = tt_error_sibling(s))
			printf("  also: %s: %s\n", tt_error_name(tt_error_code(s)), tt_error_message(s));
	}
}

TT_TASK(parse, (const char *, text))
{
	return strchr(text, '{') == NULL ? tt_fail(TT_EPROTO, "no brace in \"%s\"", text) : 0;
}

TT_TASK(app)
{
	char json[4096];
	tt_error e;
	int rc;

	rc = load_profile(42);
	printf("%s (%s)\n", tt_strerror(rc), tt_error_name(rc));
	tt_error_take(&e, rc); /* kept while other things fail */
	tell(&e);

	rc = tt_wrap(tt_blocking(parse, "hello"), "config"); /* the chain crosses the thread pool */
	printf("%s\n", tt_strerror(rc));

	tt_error_json(&e, json, sizeof(json));
	printf("as JSON it begins %.40s\n", json);
	rc = tt_error_attach(&e); /* as if it had failed just now: a caller would return it */
	printf("again: %s\n", tt_error_name(rc));

	rc = TT_WITHIN(TT_US(100), load_profile(7));
	tt_error_take(&e, rc);
	tt_error_fini(&e);
	return tt_checkpoint(); /* TT_ECANCELED only if this task itself is */
}

int main(void)
{
	return tt_main(app);
}
