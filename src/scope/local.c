/* SPDX-License-Identifier: MIT */
/*
 * local.c - values in force in a task: blocks among the other blocks, so that children find
 * them where they find what cancels them. A lookup walks the chain outwards, across tasks;
 * parent, kind, key and value do not change while a block is open, and blocks above a group
 * outlive its children, on whatever worker they are.
 */
#include <tutti/local.h>

#include "base/panic.h"
#include "scope/scope.h"

struct local_block {
	struct tti_scope scope;              /* first: a block like others */
	const tt_local_key *key;
	const void *value;
};

_Static_assert(sizeof(struct local_block) <= sizeof(tt_local_block_), "tt_local_block_ holds a local_block");

tt_local_block_ *tt_local_open_(tt_local_block_ *storage, const tt_local_key *key, const void *value, const char *site)
{
	struct local_block *b = (struct local_block *)(void *)storage;

	b->key = key;
	b->value = value;
	tti_scope_push(&b->scope, TTI_SCOPE_LOCAL, site);
	return storage;
}

/* Its C block is left. The end of a group opened above ends it early. */
void tt_local_leave_(tt_local_block_ *storage)
{
	struct local_block *b = (struct local_block *)(void *)storage;
	struct tt_task *t = b->scope.owner;

	if (!b->scope.open)
		return;
	TT_REQUIRE(t->scope == &b->scope, "%s: TT_WITH_LOCAL(%s) is left while the block opened inside it at %s is open",
	           b->scope.site, b->key->name, t->scope->site);
	tti_scope_remove(&b->scope);
}

const void *tt_local_find_(const tt_local_key *key)
{
	struct tt_task *t = tti_current();

	for (const struct tti_scope *s = t != NULL ? t->scope : NULL; s != NULL; s = s->parent) {
		const struct local_block *b = (const struct local_block *)(const void *)s;

		if (s->kind == TTI_SCOPE_LOCAL && b->key == key)
			return b->value;
	}
	return NULL;
}
