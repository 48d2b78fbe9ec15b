/* SPDX-License-Identifier: MIT */
/*
 * signal_hub.h - from a signal handler to a task: the process-wide part of <tutti/signal.h>,
 * used by tt_main() for its soft cancel too. One runtime at a time has it.
 */
#ifndef TTI_NET_SIGNAL_HUB_H
#define TTI_NET_SIGNAL_HUB_H

#include "sched/worker.h"

/* rt takes the hub; on_signal hears of signals that no stream has, on worker 0's thread.
 * -EBUSY: another runtime of the process has it. */
TT_MUST_USE int tti_signal_hub_start(struct tti_runtime *rt, void (*on_signal)(void *arg, int signo), void *arg);
/* Gives back every disposition; harmless for a runtime that does not have the hub. */
void tti_signal_hub_stop(struct tti_runtime *rt);
/* Catches signo for on_signal. */
void tti_signal_hub_catch(int signo);
/* signo takes its default action from now on, unless a stream has it. */
void tti_signal_hub_default(int signo);

#endif
