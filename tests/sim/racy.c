/* SPDX-License-Identifier: MIT */
/*
 * racy.c - a program with a race, for runner_check.sh: of many tasks that add to a counter
 * one gives way between its look and its store. Only schedules that run another one just
 * there lose an update; then the exit status is 3. With an argument there is no race.
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

static TT_TASK(adds, (int *, counter), (bool, gives_way))
{
	int seen;

	for (int i = 0; i < 3; i++)
		TT_TRY(tt_yield());
	seen = *counter;
	if (gives_way)
		TT_TRY(tt_yield());
	*counter = seen + 1;
	return 0;
}

TT_TASK(app, (bool, racy))
{
	int counter = 0;

	{
		TT_GROUP(g);
		for (int i = 0; i < 8; i++)
			tt_go_with(&g, &(tt_child_options){ .worker = TT_WORKER_ANY }, adds, &counter, racy && i == 4);
		TT_TRY_IN(&g, tt_group_end(&g, 0));
	}
	return counter == 8 ? 0 : 3;
}

int main(int argc, char **argv)
{
	(void)argv;
	return tt_sim_run(0, app, argc == 1);
}
