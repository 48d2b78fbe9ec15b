/* SPDX-License-Identifier: MIT */
/*
 * What the macros expand to, run on recording stand-ins for the runtime's seams: order of
 * calls, arguments that arrive, destructors, names. A program of its own, linked with nothing:
 * prints the first claim that fails and exits 1.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tutti/tutti.h>

#define CLAIM(cond) \
	do { \
		if (!(cond)) { \
			printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
			failures++; \
		} \
	} while (0)

static int failures;
static char story[512];

static void note(const char *event)
{
	size_t len = strlen(story);

	snprintf(story + len, sizeof(story) - len, "%s ", event);
}

static bool told(const char *expected)
{
	bool same = strcmp(story, expected) == 0;

	if (!same)
		printf("story: %s\n", story);
	story[0] = '\0';
	return same;
}

/* ---- the stand-ins ---- */

TT_BEGIN_DECLS

static const char *last_site;
static const tt_task_type *last_type;
static const tt_group_options *last_group_options;
static const tt_child_options *last_child_options;
static void *last_on;
static unsigned last_kind, last_arms, last_flags;
static int64_t last_time;

static intptr_t run(const tt_task_type *type, const void *args, const char *site)
{
	union {
		uint64_t words[64];
		void *align;
	} copy;

	if (type->size > 0)
		memcpy(&copy, args, type->size);
	last_type = type;
	last_site = site;
	return type->run(&copy);
}

intptr_t tt_verb_go_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	last_on = on;
	return run(type, args, site);
}

/* Never starts its child: destructors run. */
intptr_t tt_verb_go_with_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	uint64_t copy[64];

	last_on = ((tt_go_with_ *)on)->group;
	last_child_options = ((tt_go_with_ *)on)->options;
	last_type = type;
	last_site = site;
	if (type->size > 0)
		memcpy(copy, args, type->size);
	if (type->drop != NULL)
		type->drop(copy);
	return TT_ENOMEM;
}

intptr_t tt_verb_go_task_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	last_on = ((tt_go_task_ *)on)->group;
	*((tt_go_task_ *)on)->ret_task = NULL;
	return run(type, args, site);
}

intptr_t tt_verb_blocking_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	last_on = on;
	return run(type, args, site);
}

intptr_t tt_verb_main_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	last_on = on;
	return run(type, args, site);
}

tt_group *tt_group_open_(tt_group *g, const tt_group_options *o, const char *site)
{
	last_group_options = o;
	last_site = site;
	note("group");
	return g;
}

void tt_group_leave_(tt_group *g)
{
	(void)g;
	note("group-left");
}

int tt_group_end(tt_group *g, int rc)
{
	(void)g;
	note("group-end");
	return rc;
}

tt_scope *tt_scope_open_(tt_scope *s, int64_t time, unsigned kind, const char *site)
{
	last_time = time;
	last_kind = kind;
	last_site = site;
	note("scope");
	return s;
}

void tt_scope_leave_(tt_scope *s)
{
	(void)s;
	note("scope-left");
}

int tt_scope_end(tt_scope *s, int rc)
{
	(void)s;
	note("scope-end");
	return rc;
}

int tt_scope_pop_(int rc)
{
	note("pop");
	return rc;
}

tt_mutex *tt_mutex_lock_shielded_(tt_mutex *m)
{
	note("lock");
	return m;
}

void tt_mutex_unlock(tt_mutex *m)
{
	(void)m;
	note("unlock");
}

static int permit_result;

int tt_semaphore_acquire(tt_semaphore *s, unsigned n)
{
	(void)s, (void)n;
	note("acquire");
	return permit_result;
}

void tt_semaphore_release(tt_semaphore *s, unsigned n)
{
	(void)s, (void)n;
	note("release");
}

static size_t last_count, last_elem_size;
static void (*last_destroy)(void *);

int tt_chan_init_(tt_chan *ch, size_t count, size_t elem_size, void (*destroy)(void *elem))
{
	(void)ch;
	last_count = count;
	last_elem_size = elem_size;
	last_destroy = destroy;
	return 0;
}

tt_chan *tt_chan_producer_(tt_chan *ch)
{
	note("producer");
	return ch;
}

void tt_chan_producer_leave_(tt_chan **ch)
{
	(void)ch;
	note("producer-left");
}

static const void *last_object, *last_value;

int(tt_send)(tt_chan *ch, const void *p)
{
	last_object = ch;
	last_value = p;
	return 0;
}

int(tt_recv)(tt_chan *ch, void *p)
{
	last_object = ch;
	last_value = p;
	return 1;
}

void(tt_chan_fini)(tt_chan *ch)
{
	last_object = ch;
	note("fini");
}

tt_arm tt_on_recv_(tt_chan *ch, void *ret_p, int *rc)
{
	tt_arm arm = { NULL, ch, ret_p, rc, 1 };

	note("recv-arm");
	return arm;
}

tt_arm tt_on_stop_(void)
{
	tt_arm arm = { NULL, NULL, NULL, NULL, 2 };

	note("stop-arm");
	return arm;
}

static tt_arm last_arm[TT_SELECT_ARMS_MAX];

int tt_select_(const tt_arm *arms, unsigned n, unsigned flags, const char *site)
{
	last_arms = n;
	last_flags = flags;
	last_site = site;
	memcpy(last_arm, arms, n * sizeof(*arms));
	return (int)n - 1;
}

static char last_message[128];

int tt_fail_(int code, const char *site, const char *func, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_message, sizeof(last_message), fmt, ap);
	va_end(ap);
	last_site = site;
	note(func);
	return code;
}

int tt_wrap_(int rc, const char *site, const char *func, const char *fmt, ...)
{
	(void)fmt;
	last_site = site;
	note(func);
	return rc;
}

static const struct tt_error_domain_ *domains[4];
static size_t domain_count;

void tt_error_register_(const struct tt_error_domain_ *domain)
{
	domains[domain_count++] = domain;
}

TT_END_DECLS

/* ---- tasks ---- */

struct point {
	double x, y;
};

static struct point dropped;
static int *dropped_pointer;

static void drop_point(struct point p)
{
	dropped = p;
	note("drop-point");
}

static void drop_pointer(int *p)
{
	dropped_pointer = p;
	note("drop-pointer");
}

static TT_TASK(sum, (bool, b), (double, d), (struct point, p, drop_point), (float, f),
               (const char *, text), (int *, out, drop_pointer), (int64_t, wide), (char, c))
{
	*out = b + (int)(d * 2) + (int)p.x + (int)p.y + (int)f + (int)strlen(text) + (int)wide + c;
	return *out;
}

static TT_TASK(silent)
{
	note("silent");
	return 7;
}

typedef int triple[3];

static TT_TASK(lent, (triple, numbers))
{
	return numbers[2];
}

static void tasks_get_their_arguments(void)
{
	struct point p = { 3, 4 };
	tt_task *task = NULL;
	triple numbers = { 1, 2, 3 };
	tt_group g;
	int out = 0;

	/* Each argument arrives converted as in a call. */
	CLAIM(tt_go(&g, sum, true, 2.5f, p, 6, "text", &out, 1, 2) == 26);
	CLAIM(out == 26 && last_on == &g);
	CLAIM(strcmp(last_type->name, "sum") == 0 && strstr(last_type->site, "ok_expansion.c:"));
	CLAIM(strstr(last_site, "ok_expansion.c:") && strcmp(last_site, last_type->site) != 0);
	CLAIM(last_type->align == sizeof(double) && last_type->drop != NULL);
	CLAIM(tt_go(&g, lent, numbers) == 3 && last_type->drop == NULL);

	/* A function without arguments has none to copy. */
	CLAIM(tt_blocking(silent) == 7 && last_type->size == 0 && last_type->drop == NULL);
	CLAIM(last_on == NULL && told("silent "));
	CLAIM(tt_go_task(&g, &task, silent) == 7 && last_on == &g && told("silent "));
	CLAIM(tt_main(silent) == 7 && last_on == NULL && told("silent "));
	{
		const tt_main_options options = { 1, TT_IO_AUTO, 0, 0, false };

		CLAIM(tt_main_with(&options, silent) == 7 && last_on == &options);
		CLAIM(told("silent "));
	}

	/* A task that does not start destroys what it would have owned, in order. */
	{
		const tt_child_options options = { "x", false, 0, TT_WORKER(2), TT_RESTART_NEVER, { 0, 0, 0, 0 } };

		CLAIM(tt_go_with(&g, &options, sum, 1, 2, p, 3, "", &out, 4, 5) == TT_ENOMEM);
		CLAIM(last_child_options == &options && last_on == &g);
		CLAIM(told("drop-point drop-pointer "));
		CLAIM(dropped.y > 3 && dropped_pointer == &out);
	}

	/* Calls nest: the inner results are the outer arguments. */
	CLAIM(tt_go(&g, sum, 0, tt_blocking(silent), p, 0, "", &out, tt_go(&g, lent, numbers),
	            0) == 24);
	CLAIM(told("silent "));
}

/* ---- blocks ---- */

static void undo(const char *what)
{
	note(what);
}

static int body(int rc)
{
	note("body");
	return rc;
}

static int early_return(int rc)
{
	TT_DEFER(undo, "deferred-1");
	TT_DEFER(undo, "deferred-2");
	TT_SCOPE(s, 5);
	TT_GROUP(g);

	TT_TRY_IN(&s, body(rc));
	return tt_group_end(&g, 0);
}

static int plain_try(int rc)
{
	TT_DEFER(undo, "deferred");
	TT_TRY(body(rc));
	return 0;
}

static int conditional_permit(tt_semaphore *s)
{
	TT_PERMIT(s);
	note("held");
	return 0;
}

static int permit_in_a_group(tt_semaphore *s)
{
	TT_GROUP(g);
	TT_PERMIT_IN(&g, s);
	return tt_group_end(&g, 0);
}

static void blocks_end_in_order(void)
{
	static tt_semaphore s;
	static tt_mutex m;

	/* An early return ends the block it names; cleanups follow, innermost first. */
	CLAIM(early_return(TT_EPIPE) == TT_EPIPE);
	CLAIM(told("scope group body scope-end group-left scope-left deferred-2 deferred-1 "));
	CLAIM(early_return(0) == 0);
	CLAIM(told("scope group body group-end group-left scope-left deferred-2 deferred-1 "));
	CLAIM(plain_try(TT_EPIPE) == TT_EPIPE && told("body deferred "));
	CLAIM(plain_try(5) == 0 && told("body deferred "));

	/* A permit that was not acquired is not released. */
	permit_result = 0;
	CLAIM(conditional_permit(&s) == 0 && told("acquire held release "));
	permit_result = TT_ECANCELED;
	CLAIM(conditional_permit(&s) == TT_ECANCELED && told("acquire "));
	CLAIM(permit_in_a_group(&s) == TT_ECANCELED);
	CLAIM(told("group acquire group-end group-left "));

	/* A lock is held to the end of its C block. */
	{
		TT_LOCK(&m);
		TT_LOCK(&m);
		note("held");
	}
	CLAIM(told("lock lock held unlock unlock "));
}

static void one_call_blocks_open_before_and_pop_after(void)
{
	int rc = TT_WITHIN(9, TT_SHIELDED(8, body(TT_UNTIL_STOP(body(3)))));

	CLAIM(rc == 3 && told("scope scope scope body pop body pop pop "));
	CLAIM(TT_WITHIN(9, body(1)) == 1 && last_time == 9 && last_kind == TT_SCOPE_PLAIN_);
	CLAIM(TT_SHIELDED(8, body(1)) == 1 && last_time == 8 && last_kind == TT_SCOPE_SHIELD_);
	CLAIM(TT_UNTIL_STOP(body(1)) == 1 && last_time == TT_NEVER);
	CLAIM(last_kind == TT_SCOPE_UNTIL_STOP_);
	story[0] = '\0';
	{
		TT_SCOPE_UNTIL(s, 77);
		CLAIM(last_time == 77 && last_kind == (TT_SCOPE_PLAIN_ | TT_SCOPE_ABSOLUTE_));
		CLAIM(tt_open_s_ == &s);
	}
	{
		tt_group_options options = { "x", TT_ISOLATE, 0, false, TT_RESTART_NEVER, { 0, 0, 0, 0 } };
		TT_GROUP_WITH(g, &options);
		CLAIM(last_group_options == &options && tt_open_g_ == &g);
	}
	CLAIM(told("scope scope-left group group-left "));
}

/* ---- channels ---- */

struct item {
	int id;
	char *text;
};

static int destroyed;

static void item_fini(struct item it)
{
	destroyed += it.id;
}

static void text_fini(char *text)
{
	destroyed += text[0];
}

TT_CHAN_TYPE(item_chan, struct item);
TT_CHAN_TYPE_WITH(owned_chan, struct item, item_fini);
TT_CHAN_TYPE_WITH(text_chan, char *, text_fini);

static void channels_know_their_items(void)
{
	static item_chan items;
	static owned_chan owned;
	static text_chan texts;
	struct item it = { 5, NULL };
	char letter[] = "A", *text = letter;
	struct item *p = &it;

	CLAIM(sizeof(items) == sizeof(tt_chan) && sizeof(texts) == sizeof(tt_chan));
	CLAIM(tt_chan_init(&items, 3) == 0 && last_count == 3);
	CLAIM(last_elem_size == sizeof(it) && last_destroy == NULL);

	/* Each type finds its own destructor, which gets the item by value. */
	CLAIM(tt_chan_init(&owned, 0) == 0 && last_count == 0 && last_destroy != NULL);
	last_destroy(&it);
	CLAIM(destroyed == 5);
	CLAIM(tt_chan_init(&texts, 1) == 0 && last_elem_size == sizeof(char *));
	last_destroy(&text);
	CLAIM(destroyed == 5 + 'A');

	/* Arguments are evaluated once. */
	CLAIM(tt_send(&items, p++) == 0 && p == &it + 1 && last_value == &it);
	CLAIM(tt_recv(&items, --p) == 1 && p == &it && last_object == &items);
	{
		TT_DEFER(tt_chan_fini, &owned);
		TT_CLOSE_AT_END(&items);
		note("produced");
	}
	CLAIM(told("producer produced producer-left fini ") && last_object == &owned);
}

static void selects_pass_their_arms(void)
{
	static item_chan items;
	struct item it;
	int rc = 0;

	CLAIM(tt_select(TT_ON_STOP(), TT_ON_RECV_RC(&items, &it, &rc), TT_ON_STOP()) == 2);
	CLAIM(last_arms == 3 && last_flags == TT_SELECT_FAIR_);
	CLAIM(last_arm[1].object == &items && last_arm[1].value == &it && last_arm[1].rc == &rc);
	CLAIM(strstr(last_site, "ok_expansion.c:") != NULL);
	story[0] = '\0';

	/* An arm that is off is not evaluated. */
	CLAIM(tt_select_biased(TT_ON_IF(rc > 0, TT_ON_RECV(&items, &it)), TT_ON_STOP()) == 1);
	CLAIM(told("stop-arm ") && last_flags == TT_SELECT_BIASED_ && last_arm[0].n == 0);
#ifndef __cplusplus
	/* Holes are arms that are off. */
	CLAIM(tt_select([2] = TT_ON_STOP(), [0] = TT_ON_STOP()) == 2);
	CLAIM(last_arms == 3 && last_arm[1].ops == NULL && last_arm[2].n == 2);
#endif
	story[0] = '\0';
}

/* ---- errors ---- */

enum { APP_EVALIDATION = -20001 };
#define APP_EMACRO (-20002)
TT_ERROR_CODES(app, {APP_EVALIDATION, "Bad {input}, \"really\""}, { APP_EMACRO , "Defined" },
               {-20003, "Nameless"});

static void errors_say_where_and_are_named(void)
{
	const struct tt_error_domain_ *d = domains[0];
	int rc = TT_EPROTO;

	CLAIM(tt_fail(TT_EPIPE, "%d %s", 1, "a") == TT_EPIPE && !strcmp(last_message, "1 a"));
	CLAIM(tt_wrap(rc++, "x") == TT_EPROTO && rc == TT_EPROTO + 1);
	CLAIM(told("errors_say_where_and_are_named errors_say_where_and_are_named "));
	CLAIM(domain_count == 1 && d->count == 3 && strcmp(d->name, "app") == 0);
	CLAIM(strcmp(d->names[0], "APP_EVALIDATION") == 0 && d->codes[0].code == -20001);
	CLAIM(strcmp(d->names[1], "APP_EMACRO") == 0 && d->codes[1].code == -20002);
	CLAIM(strcmp(d->names[2], "-20003") == 0);
	CLAIM(strcmp(d->codes[0].text, "Bad {input}, \"really\"") == 0);
}

int main(void)
{
	tasks_get_their_arguments();
	blocks_end_in_order();
	one_call_blocks_open_before_and_pop_after();
	channels_know_their_items();
	selects_pass_their_arms();
	errors_say_where_and_are_named();
	if (failures == 0)
		puts("ok");
	return failures != 0;
}
