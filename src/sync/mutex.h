/* SPDX-License-Identifier: MIT */
/* mutex.h - what condvar.c asks of mutex.c. */
#ifndef TTI_SYNC_MUTEX_H
#define TTI_SYNC_MUTEX_H

#include <tutti/mutex.h>

/* The calling task holds it. */
bool tti_mutex_is_held(tt_mutex *m);

#endif
