/* SPDX-License-Identifier: MIT */
/* reader.h - what a tt_reader holds; see reader.c. Used by poll.c for its select arm. */
#ifndef TTI_NET_READER_H
#define TTI_NET_READER_H

#include <tutti/net.h>

/* Owner task only. start <= end <= cap; the bytes between are read and not yet taken. */
struct tti_reader {
	tt_fd *fd;
	char *buf;
	size_t cap, start, end;
};

static inline struct tti_reader *tti_reader_of(tt_reader *r)
{
	return (struct tti_reader *)(void *)r;
}

#endif
