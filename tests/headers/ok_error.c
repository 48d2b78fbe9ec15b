/* SPDX-License-Identifier: MIT */
/*
 * Error chains and an application's codes, in every compiler.
 */
#include <tutti/tutti.h>

enum { APP_EVALIDATION = -20001, APP_EQUOTA = -20002 };
#define APP_EMACRO (-20003)

TT_ERROR_CODES(app, {APP_EVALIDATION, "Validation failed"}, {APP_EQUOTA, "Over, the \"quota\" {1}"},
               { APP_EMACRO , "Defined, not an enum" });
TT_ERROR_CODES(single, {-20100, "Nameless"});

int fails(int shard, const char *name);
int fails(int shard, const char *name)
{
	int rc = 0;

	if (shard < 0)
		return tt_fail(TT_EPROTO, "no shard");
	if (shard > 9)
		return tt_fail(APP_EVALIDATION, "shard %d: bad header in %s", shard, name);
	rc = tt_wrap(fails(shard - 1, name), "shard %d", shard);
	TT_TRY(tt_wrap(rc++, "plain"));
	{
		TT_GROUP(g);
		TT_TRY_IN(&g, tt_wrap(fails(1, name), "inside %s", name));
		return tt_group_end(&g, tt_fail(APP_EMACRO, "%s", ""));
	}
}

size_t look(int rc, char *buf, size_t n);
size_t look(int rc, char *buf, size_t n)
{
	tt_error e;
	const tt_error_node *node, *beside;
	size_t steps = 0;

	tt_error_take(&e, rc);
	for (node = tt_error_first(&e); node != NULL; node = tt_error_cause(node))
		for (beside = node; beside != NULL; beside = tt_error_sibling(beside))
			steps += tt_error_code(beside) < 0 && tt_error_message(beside)[0] != '\0' &&
			         tt_error_site(beside)[0] != '\0';
	tt_error_text(&e, buf, n);
	tt_error_json(&e, buf, n);
	tt_error_report(rc, "%s: %s", tt_strerror(rc), tt_error_name(rc));
	rc = tt_error_attach(&e);
	tt_error_fini(&e);
	TT_IGNORE(tt_error_attach(&e));
	return steps + (size_t)(rc < 0);
}
