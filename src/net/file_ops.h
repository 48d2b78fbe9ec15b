/* SPDX-License-Identifier: MIT */
/*
 * file_ops.h - the calls on files that a runtime makes: the kernel's (file_real.c) or a
 * simulation's (sim/file.c). struct tti_runtime points to a table; NULL: the kernel's.
 *
 * Results as the system calls of these names, negative errno values for failures. All but
 * the two _now calls may hold their thread: they run on the blocking pool.
 */
#ifndef TTI_NET_FILE_OPS_H
#define TTI_NET_FILE_OPS_H

#include <tutti/file.h>

#define TTI_FILE_HERE INT64_C(-1)            /* an offset: at the open file's position, which moves on */

struct tti_file_ops {
	/* The new descriptor, close-on-exec. *ret_file: what can be read at an offset and never
	 * has to be waited for; else it is a stream. */
	long (*open)(const char *path, int flags, unsigned mode, bool *ret_file);
	/* Only if nothing but memory is asked; else -EAGAIN. */
	long (*open_now)(const char *path, int flags, bool *ret_file);
	long (*read)(int fd, void *buf, size_t n, int64_t offset);
	long (*read_now)(int fd, void *buf, size_t n, int64_t offset);
	long (*write)(int fd, const void *buf, size_t n, int64_t offset);
	long (*write_now)(int fd, const void *buf, size_t n, int64_t offset);
	long (*sync)(int fd, bool data_only);
	long (*truncate)(int fd, uint64_t size);
	/* path NULL: of fd. */
	long (*stat)(int fd, const char *path, tt_file_info *ret_info);
	long (*set_mode)(int fd, unsigned mode);
	long (*rename)(const char *from, const char *to);
	long (*remove)(const char *path);
	/* Of a descriptor the fd table does not know: one that open() gave, or watch(). */
	void (*close)(int fd);
	/* A descriptor that is readable once fd's file was changed, or a code: nobody tells.
	 * Called on a worker. */
	int (*watch)(int fd);
	/* Takes what made it readable. */
	void (*watch_seen)(int watch);
};

extern const struct tti_file_ops tti_file_real;

#endif
