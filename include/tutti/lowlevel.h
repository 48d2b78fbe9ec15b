/* SPDX-License-Identifier: MIT */
/*
 * lowlevel.h - for those who bring other libraries to tutti: adapters, bindings.
 *
 * Programs do not need it, and <tutti/tutti.h> does not include it.
 */
#ifndef TUTTI_LOWLEVEL_H
#define TUTTI_LOWLEVEL_H

#include <tutti/base.h>

TT_BEGIN_DECLS

/*
 * tt_forbid_waits - from here on the calling task runs code that must not be left half way: a
 * library that calls back and that another task of this worker may enter meanwhile. A call
 * that would wait or yield then aborts and names the place. NULL allows waits again.
 *
 *	before = tt_forbid_waits("a libcurl callback");
 *	... the library, and what it calls back ...
 *	tt_forbid_waits(before);
 *
 * Blocks     no
 * Returns    what was in force before: NULL, or an outer place
 * Ownership  where is a string that lives until the next call
 * Threads    any; it counts for the calling thread, which the task keeps meanwhile
 */
TT_API const char *tt_forbid_waits(const char *where);

TT_END_DECLS

#endif
