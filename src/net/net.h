/* SPDX-License-Identifier: MIT */
/* net.h - what rt/ and sim/ need of net/. */
#ifndef TTI_NET_NET_H
#define TTI_NET_NET_H

#include <stdint.h>

struct tti_runtime;

/* The runtime ends: frees the descriptor table, and says on stderr how many descriptors
 * were left open (a leak of the program's); they are closed. Worker 0's thread. */
void tti_net_shutdown(struct tti_runtime *rt);
/* How many descriptors the runtimes of this process that ended have left open. Any thread. */
uint64_t tti_net_left_open(void);

#endif
