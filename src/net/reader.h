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
	size_t searched;                     /* tt_read_until: none of delim between start and here */
	int delim;                           /* -1: nothing was searched */
};

_Static_assert(sizeof(struct tti_reader) <= sizeof(tt_reader), "tt_reader holds a tti_reader");

static inline struct tti_reader *tti_reader_of(const tt_reader *r)
{
	return (struct tti_reader *)(uintptr_t)r;
}

#endif
