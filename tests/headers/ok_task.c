/* SPDX-License-Identifier: MIT */
/*
 * Everything that may be said with TT_TASK and the verbs, in every compiler.
 */
#include <tutti/tutti.h>

struct point {
	double x, y;
};

enum colour { RED, GREEN };

typedef int (*callback)(void *);
typedef int body(void);
typedef int triple[3];

static void close_point(struct point *p)
{
	p->x = 0;
}

static void close_value(struct point p)
{
	(void)p;
}

static void close_number(long n)
{
	(void)n;
}

/* No arguments, external and static. */
TT_TASK(nothing)
{
	return 0;
}

static TT_TASK(static_nothing)
{
	return nothing();
}

/* Never started: no warning. */
static TT_TASK(unused, (int, a))
{
	return a;
}

/* A declaration for a function defined below as an ordinary one, and one elsewhere. */
TT_TASK_DECLARE(ordinary, (int, count), (const char *, text));
TT_TASK_DECLARE(elsewhere);
static TT_TASK_DECLARE(local, (bool, flag));

int ordinary(int count, const char *text)
{
	return count + (text != NULL);
}

static int local(bool flag)
{
	return flag ? 1 : 0;
}

/* The names that the macros' own must not meet. */
TT_TASK(names, (int, x), (int, v), (void *, on), (const char *, site), (int, r_), (int, args),
        (int, verb), (int, rc))
{
	(void)on;
	return x + v + r_ + args + verb + rc + (site != NULL);
}

static TT_TASK(on, (int, g))
{
	return g;
}

/* Each kind of type. */
static TT_TASK(kinds, (bool, b), (double, d), (struct point, p), (enum colour, c),
               (const struct point *, q), (callback, f), (char **, argv), (float, small))
{
	(void)f;
	return b + (int)d + (int)p.x + (int)c + (q != NULL) + (argv != NULL) + (int)small;
}

static TT_TASK(decays, (triple, numbers), (body, function), (const int, fixed))
{
	return numbers[0] + function() + fixed;
}

static TT_TASK(owns, (struct point *, first, close_point), (struct point, second, close_value),
               (long, third, close_number), (int, plain))
{
	close_point(first);
	close_value(second);
	close_number(third);
	return plain;
}

static TT_TASK(all_owned, (struct point *, a, close_point), (struct point *, b, close_point),
               (struct point *, c, close_point), (struct point *, d, close_point),
               (struct point *, e, close_point), (struct point *, f, close_point),
               (struct point *, g, close_point), (struct point *, h, close_point))
{
	(void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
	return 0;
}

/* Numbers of parameters from one to seven. */
static TT_TASK(one, (int, a))
{
	return a;
}
static TT_TASK(two, (int, a), (int, b))
{
	return a + b;
}
static TT_TASK(three, (int, a), (int, b), (int, c))
{
	return a + b + c;
}
static TT_TASK(four, (int, a), (int, b), (int, c), (int, d))
{
	return a + b + c + d;
}
static TT_TASK(five, (int, a), (int, b), (int, c), (int, d), (int, e))
{
	return a + b + c + d + e;
}
static TT_TASK(six, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f))
{
	return a + b + c + d + e + f;
}
static TT_TASK(seven, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g))
{
	return a + b + c + d + e + f + g;
}

static int plain(void *arg)
{
	return arg != NULL;
}

static struct point origin(void)
{
	struct point p = { 0, 0 };

	return p;
}

int start_them(tt_group *g, struct point *p, char **argv);
int start_them(tt_group *g, struct point *p, char **argv)
{
	static int numbers[3] = { 1, 2, 3 };
	const tt_child_options options = {
		"child", true, 256 * 1024, TT_WORKER(1), TT_RESTART_ON_FAILURE, { TT_MS(1), TT_SEC(1), 10, 5 }
	};
	tt_child_options other = { NULL, false, 0, TT_WORKER_ANY, TT_RESTART_NEVER, { 0, 0, 0, 0 } };
	int x = 1, v = 2, r_ = 3;
	const char *site = "site";
	tt_task *task = NULL;
	void *on_ = NULL;
	int rc;

	tt_go(g, nothing);
	(void)tt_go(g, static_nothing);
	rc = tt_go(g, elsewhere);
	if (tt_go(g, ordinary, 1, "text") < 0)
		rc++;
	tt_go(g, local, true);
	tt_go(g, local, rc == 0);
	tt_go(g, names, x, v, on_, site, r_, 0, 0, rc);
	tt_go(g, on, x ? v : r_);
	tt_go(g, kinds, true, 1, origin(), RED, p, NULL, argv, 1.5f);
	tt_go(g, kinds, false, 2.5, *p, GREEN, NULL, plain, NULL, 0);
	tt_go(g, decays, numbers, nothing, 4);
	tt_go(g, owns, p, *p, 3, 'c');
	tt_go(g, all_owned, p, p, p, p, p, p, p, p);
	tt_go(g, one, 1), tt_go(g, two, 1, 2);
	tt_go(g, three, 1, 2, 3);
	tt_go(g, four, 1, 2, 3, 4);
	tt_go(g, five, 1, 2, 3, 4, 5);
	tt_go(g, six, 1, 2, 3, 4, 5, 6);
	tt_go(g, seven, 1, 2, 3, 4, 5, 6, 7);

	/* A call as an argument of a call, of the same verb too. */
	tt_go(g, one, tt_go(g, two, tt_blocking(one, 1), tt_blocking(nothing)));
	rc = tt_blocking(one, tt_blocking(two, 1, tt_blocking(three, 1, 2, 3)));

	if (tt_go_task(g, &task, ordinary, 1, NULL) == 0) {
		rc = tt_task_join(task);
		tt_task_put(task);
	}
	if (tt_go_task(g, &task, nothing) == 0)
		tt_task_put(task);
	tt_go_with(g, &options, ordinary, 1, "a");
	tt_go_with(g, &other, nothing);
	tt_spawn(g, plain, p, NULL);
	tt_spawn(g, plain, p, &options);
	return rc;
}

#ifndef __cplusplus
/* Commas in braces are no problem in C. */
int start_more(tt_group *g);
int start_more(tt_group *g)
{
	tt_go(g, kinds, true, 1, (struct point){ 1, 2 }, RED, &(struct point){ .x = 1, .y = 2 },
	      plain, (char *[]){ "a", "b", NULL }, 0);
	tt_go_with(g, (&(tt_child_options){ .name = "x", .daemon = true }), nothing);
	return 0;
}
#endif

/* The verbs of main. */
static TT_TASK(app, (int, argc), (char **, argv))
{
	return argc + (argv != NULL);
}

int main(int argc, char **argv)
{
	const tt_main_options options = { 2, TT_IO_EPOLL, 0, TT_STOP_AT_ONCE, false };
	tt_main_options more = { 0, TT_IO_AUTO, 0, TT_SEC(3), false };

	if (argc == 2)
		return tt_main(nothing);
	if (argc == 3)
		return tt_main_with(&options, app, argc, argv);
	if (argc == 4)
		return tt_main_with(&more, nothing);
	return tt_main(app, argc, argv);
}
