/* SPDX-License-Identifier: MIT */
/*
 * file_whole.c - whole files by name: read one, replace one. Called publicly.
 *
 * A replacement is a row of jobs, each of which may fail or be cancelled:
 *
 *	stat old, open temp, write, fsync --> rename --> open folder, fsync
 *	\__ on failure: remove the temp __/             \__ no cancel from here on
 *
 * The rename is the one step that anybody sees. Before it a failure or a cancel leaves the
 * old file as it was, and the temporary one is removed whatever else happens; after it the
 * call goes on to the end: completed wins.
 *
 * Rejected    One job for all of it: a cancel would wait for the whole write, and a simulation
 *             could cut it nowhere. O_TMPFILE and linkat(): that cannot replace a name.
 */
#include <tutti/file.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <tutti/error.h>

#include "base/sometimes.h"
#include "net/file_call.h"

#define TEMP_NAME ".tt-0123456789abcdef.tmp"
/* Not the set-id bits: the new file is the caller's own, and would run as somebody else. */
#define PERMISSIONS 0777u
#define MODE_NEW 0666u
/* Nobody else reads a replacement before it has the permissions of what it replaces. */
#define MODE_PRIVATE 0600u

/* ---- read ---- */

/* How many bytes the file has, at most n. */
static int read_to_end(tt_fd *fd, char *ret_buf, size_t n)
{
	size_t done = 0;
	char more;
	int rc;

	do {
		rc = tt_file_pread(fd, done < n ? ret_buf + done : &more, done < n ? n - done : 1, done);
		if (rc > 0 && done == n)
			return -EFBIG;
		if (rc > 0)
			done += (size_t)rc;
	} while (rc > 0);
	return rc < 0 ? rc : (int)done;
}

int tt_file_read_all(const char *path, void *ret_buf, size_t n)
{
	tt_fd *fd;
	int rc = tt_file_open(path, O_RDONLY, 0, &fd);

	if (rc < 0)
		return rc;
	rc = read_to_end(fd, ret_buf, n < INT_MAX ? n : INT_MAX);
	tt_fd_close(fd);
	if (rc == -EFBIG)
		return tt_fail(rc, "tt_file_read_all \"%s\": it has more than %zu bytes", path, n);
	return rc < 0 && rc != TT_ECANCELED ? tt_wrap(rc, "tt_file_read_all \"%s\"", path) : rc;
}

/* ---- replace ---- */

struct replace {
	const char *path;
	const void *data;
	size_t n;
	char *temp;                          /* the temporary file's path */
	char *folder;                        /* behind temp in one allocation */
	unsigned mode;                       /* of the file that is replaced; 0: there is none */
};

/* "a/b" -> "a/.tt-*.tmp" and "a/"; "b" -> ".tt-*.tmp" and ".". */
static int make_names(struct replace *r)
{
	const char *slash = strrchr(r->path, '/');
	size_t folder = slash != NULL ? (size_t)(slash - r->path) + 1 : 0;
	uint64_t unique;

	if (r->path[folder] == '\0')
		return folder > 0 ? -EISDIR : TT_ENOENT;
	r->temp = tti_env_alloc(folder + sizeof(TEMP_NAME) + folder + sizeof("."));
	if (r->temp == NULL)
		return TT_ENOMEM;
	tti_env_entropy(&unique, sizeof(unique));
	memcpy(r->temp, r->path, folder);
	snprintf(r->temp + folder, sizeof(TEMP_NAME), ".tt-%016llx.tmp", (unsigned long long)unique);
	r->folder = r->temp + folder + sizeof(TEMP_NAME);
	memcpy(r->folder, folder > 0 ? r->path : ".", folder > 0 ? folder : 1);
	r->folder[folder > 0 ? folder : 1] = '\0';
	return 0;
}

static int find_old(struct replace *r)
{
	tt_file_info old;
	int rc = tt_file_stat_path(r->path, &old);

	if (rc == 0)
		r->mode = old.mode;
	return rc == TT_ENOENT ? 0 : rc;
}

static void run_set_mode(struct tti_file_call *c)
{
	c->result = c->ops->set_mode(c->fd, c->mode);
}

static int set_mode(tt_fd *fd, unsigned mode)
{
	struct tti_file_call f = { .run = run_set_mode, .mode = mode };
	struct tti_fd_call c;
	int rc = tti_fd_enter(fd, TTI_NEITHER, &c);

	if (rc < 0)
		return rc;
	f.fd = c.fd->number;
	return (int)tti_fd_leave(&c, tti_file_call(&f, "file mode", c.fd));
}

static int fill_temp(const struct replace *r, tt_fd *fd)
{
	int rc = r->mode != 0 ? set_mode(fd, r->mode & PERMISSIONS) : 0;

	if (rc == 0)
		rc = tt_wrap(tt_file_pwrite_all(fd, r->data, r->n, 0, NULL), "write");
	return rc == 0 ? tt_wrap(tt_file_fsync(fd), "sync") : rc;
}

/* The temporary file is complete and on the disk, or there is none. */
static int make_temp(const struct replace *r)
{
	tt_fd *fd;
	int rc = tt_file_open(r->temp, O_WRONLY | O_CREAT | O_EXCL, r->mode != 0 ? MODE_PRIVATE : MODE_NEW, &fd);

	if (rc == 0) {
		rc = fill_temp(r, fd);
		tt_fd_close(fd);
	}
	/* An open without memory for its handle has made the file all the same. */
	if (rc < 0 && rc != -EEXIST)
		tti_file_discard(r->temp);
	return rc;
}

/* Of the folder: on one thread, one after the other. */
static void run_sync_folder(struct tti_file_call *c)
{
	bool file;
	long fd = c->ops->open(c->path, O_RDONLY | O_DIRECTORY, 0, &file);

	c->result = fd;
	if (fd < 0)
		return;
	c->result = c->ops->sync((int)fd, false);
	c->ops->close((int)fd);
}

static int sync_folder(const struct replace *r)
{
	struct tti_file_call f = { .run = run_sync_folder, .path = r->folder };
	int rc = (int)tti_file_call_always(&f, "file sync", NULL);

	/* A file system that syncs no folders (some of FUSE) keeps its names by itself. */
	if (rc == TT_EINVAL)
		rc = 0;
	return rc < 0 ? tt_fail(rc, "it is replaced, but the folder cannot be synced") : 0;
}

static int replace(struct replace *r)
{
	int rc = find_old(r);

	if (rc == 0)
		rc = make_temp(r);
	if (rc < 0)
		return rc;
	rc = tt_file_rename(r->temp, r->path);
	if (rc < 0) {
		TTI_SOMETIMES(true, "a file is to be replaced, and its replacement is removed");
		tti_file_discard(r->temp);
		return rc;
	}
	return sync_folder(r);
}

int tt_file_replace(const char *path, const void *data, size_t n)
{
	struct replace r = { .path = path, .data = data, .n = n };
	int rc;

	if (tti_current_or_panic("tt_file_replace") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc == 0)
		rc = make_names(&r);
	if (rc == 0)
		rc = replace(&r);
	tti_env_free(r.temp);
	return rc < 0 && rc != TT_ECANCELED ? tt_wrap(rc, "tt_file_replace \"%s\"", path) : rc;
}
