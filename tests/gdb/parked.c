/* SPDX-License-Identifier: MIT */
/*
 * parked.c - a program for gdb_check.sh to stop: two tasks wait in functions whose names
 * are then looked for in their stacks, a third one holds its worker.
 */
#include <stdlib.h>

#include <tutti/tutti.h>

TT_CHAN_TYPE(int_chan, int);

/* Where the debugger stops the program. */
__attribute__((noinline)) void everybody_is_parked(void)
{
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) int waits_for_an_item(int_chan *ch)
{
	int x, rc = tt_recv(ch, &x);

	__asm__ volatile("" ::: "memory");
	return rc;
}

__attribute__((noinline)) int sleeps_long(void)
{
	int rc = tt_sleep(TT_SEC(3600));

	__asm__ volatile("" ::: "memory");
	return rc;
}

static TT_TASK(receiver, (int_chan *, ch))
{
	return waits_for_an_item(ch);
}

static TT_TASK(sleeper)
{
	return sleeps_long();
}

TT_TASK(app, (bool, leave_a_core))
{
	int_chan ch;
	int rc;

	TT_TRY(tt_chan_init(&ch, 1));
	TT_DEFER(tt_chan_fini, &ch.tt_raw);
	TT_GROUP(g);
	tt_go(&g, receiver, &ch);
	tt_go_with(&g, &(tt_child_options){ .worker = TT_WORKER(1) }, sleeper);
	rc = tt_sleep(TT_MS(100)); /* time for both to park: real workers, and a debugger beside */
	if (leave_a_core)
		abort();
	everybody_is_parked();
	tt_group_cancel(&g);
	return tt_group_end(&g, rc);
}

int main(int argc, char **argv)
{
	tt_main_options o = { .workers = 2 };

	(void)argv;
	return tt_main_with(&o, app, argc > 1);
}
