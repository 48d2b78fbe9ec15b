/* SPDX-License-Identifier: MIT */
/*
 * Forks, loops, maps, reductions and sorts, in every compiler: conversions, calls without
 * arguments, constants, braces with commas, nested and in expressions.
 */
#include <tutti/tutti.h>

struct point {
	int x, y;
};

static TT_TASK(nothing)
{
	return 0;
}

static TT_TASK(place, (struct point, p), (const char *, name), (struct point *, ret))
{
	*ret = p;
	return name != NULL;
}

TT_TASK_DECLARE(depth_of, (int, n), (long *, ret));

int depth_of(int n, long *ret)
{
	long a = 0, b = 0;

	*ret = 0;
	if (n == 0)
		return 0;
	TT_TRY(tt_fork2((depth_of, n - 1, &a), (depth_of, n - 1, &b)));
	*ret = 1 + (a > b ? a : b);
	return 0;
}

int forks(struct point *out, struct point p);
int forks(struct point *out, struct point p)
{
	char buf[8] = "name";
	int rc = tt_fork2((nothing), (nothing));

	TT_TRY(tt_fork2((place, p, buf, out), (nothing)));
	TT_TRY(tt_fork2((nothing), (place, p, NULL, &out[1])));
	TT_TRY(TT_WITHIN(TT_SEC(1), tt_fork2((place, p, "x", out), (place, p, "y", out + 1))));
	return tt_wrap(rc, "forks");
}

static TT_TASK(zero, (size_t, first), (size_t, end), (double *, items))
{
	for (size_t i = first; i < end; i++)
		items[i] = 0;
	return 0;
}

static TT_TASK(idle, (size_t, first), (size_t, end))
{
	return first > end;
}

static TT_TASK(widen, (const int *, in), (double *, out))
{
	*out = *in;
	return 0;
}

static TT_TASK(scale, (const int *, in), (double *, out), (double, by))
{
	*out = *in * by;
	return 0;
}

static TT_TASK(sum, (size_t, first), (size_t, end), (double *, acc), (const double *, items))
{
	for (size_t i = first; i < end; i++)
		*acc += items[i];
	return 0;
}

static TT_TASK(join, (double *, left), (double *, right))
{
	*left += *right;
	return 0;
}

int loops(int *in, double *out, size_t n);
int loops(int *in, double *out, size_t n)
{
	const int *read_only = in;
	double total = 0;

	TT_TRY(tt_par_for(n, zero, out));
	TT_TRY(tt_par_for(n / 2, idle));
	TT_TRY(tt_par_map(n, in, out, widen));
	TT_TRY(tt_par_map(n, read_only, out, scale, 2));
	TT_TRY(tt_par_reduce(n, &total, (sum, out), (join)));
	return total > 0;
}

TT_SORT(by_x, struct point, a, b, a->x < b->x || (a->x == b->x && a->y < b->y));
TT_SORT(upwards, double, left, right, *left < *right);

int sorts(struct point *points, double *numbers, uint64_t *keys, size_t n);
int sorts(struct point *points, double *numbers, uint64_t *keys, size_t n)
{
	TT_TRY(tt_par_sort(by_x, points, n));
	TT_TRY(tt_par_sort(upwards, numbers, n));
	TT_TRY(tt_par_sort_stable(by_x, points, n));
	return tt_par_sort_u64(keys, n);
}

typedef struct point *owned_point;

static void forget(owned_point p)
{
	p->x = 0;
}

static TT_TASK(hang, (owned_point, p, forget))
{
	forget(p);
	return 0;
}

int abandons(struct point *p);
int abandons(struct point *p)
{
	return tt_blocking_abandon(hang, p);
}
