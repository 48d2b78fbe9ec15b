/* SPDX-License-Identifier: MIT */
/* background.h - groups that live in objects, seen from the runtime; see background.c. */
#ifndef TTI_SCOPE_BACKGROUND_H
#define TTI_SCOPE_BACKGROUND_H

struct tti_runtime;

/* The root task is about to end: reports and destroys what is left. In that task. */
void tti_background_reap(struct tti_runtime *rt);

#endif
