/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to a value of this flight */
/* The value of a flight is of another type. */
#include <tutti/tutti.h>

TT_FLIGHT_TYPE(int_flight, int);

TT_TASK_DECLARE(load, (long *, ret));

int wrong(int_flight *f);
int wrong(int_flight *f)
{
	long value = 0;

	return tt_flight_do(f, tt_key_text("key"), &value, load, &value);
}
