/* SPDX-License-Identifier: MIT */
/*
 * 05_barrier.c - a computation in steps: nobody begins the next one before all have finished
 * this one, and one of them, the leader, sums up between two steps.
 *
 * A party that is cancelled breaks the barrier: the others hear of it at once instead of
 * waiting for ever.
 */
#include <stdio.h>
#include <tutti/tutti.h>

enum { PARTS = 4, STEPS = 3 };

struct grid {
	tt_barrier ready;
	int cell[PARTS], next[PARTS];
};

/* Each cell becomes the sum of itself and its right neighbour. */
TT_TASK(part, (struct grid *, g), (int, me), (int, fails_at))
{
	for (int step = 1; step <= STEPS; step++) {
		int rc;

		if (step == fails_at) /* the group cancels the others, and that breaks the barrier */
			return tt_fail(TT_EIO, "part %d has lost its cell", me);
		g->next[me] = g->cell[me] + g->cell[(me + 1) % PARTS];
		TT_TRY(tt_barrier_wait(&g->ready)); /* all have read */
		g->cell[me] = g->next[me];
		rc = tt_barrier_wait(&g->ready); /* all have written */
		TT_TRY(rc);
		if (rc == 1)
			printf("step %d is complete\n", step);
	}
	return 0;
}

/* When the group has ended, all parts have: the join is the last barrier. */
static int compute(struct grid *grid, int fails_at)
{
	TT_GROUP(g);
	for (int i = 0; i < PARTS; i++) {
		grid->cell[i] = i + 1;
		tt_go(&g, part, grid, i, i == 2 ? fails_at : 0);
	}
	return tt_group_end(&g, 0);
}

/* Cancellation: the others never come, the time runs out. */
static int alone(struct grid *grid)
{
	int rc = TT_WITHIN(TT_MS(10), tt_barrier_wait(&grid->ready));

	if (rc == TT_ETIMEDOUT)
		printf("alone: %s\n", tt_error_name(rc));
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

TT_TASK(app)
{
	struct grid grid = { .cell = { 0 } };
	int rc;

	tt_barrier_init(&grid.ready, PARTS);
	TT_DEFER(tt_barrier_fini, &grid.ready);
	TT_TRY(compute(&grid, 0));
	printf("cells %d %d %d %d\n", grid.cell[0], grid.cell[1], grid.cell[2], grid.cell[3]);

	rc = compute(&grid, 2);
	printf("with a failing part: %s, the barrier is %s\n", tt_error_name(rc),
	       tt_barrier_is_broken(&grid.ready) ? "broken" : "whole");
	if (rc != TT_EIO)
		return rc;
	tt_barrier_reset(&grid.ready);
	return alone(&grid);
}

int main(void)
{
	return tt_main(app);
}
