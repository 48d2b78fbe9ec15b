/* SPDX-License-Identifier: MIT */
/*
 * unix.c - Unix sockets: paths, and "@name" for abstract ones, which have no file.
 *
 * A socket's file stays behind when its server dies. A listener that finds its path taken
 * asks by a connect whether somebody listens: only a refusal makes the file stale. Two
 * servers that start on one stale path at the same moment can still remove each other's
 * file; a lock of the program's own is needed where that may happen.
 * The path is removed when the listener is closed, see tt_fd_close().
 */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include <tutti/error.h>

#include "net/fd.h"
#include "net/socket.h"
#include "wait/wait.h"

/* ---- connecting ---- */

static int connect_to(const struct tti_addr *a, tt_fd **ret_fd)
{
	int number = tti_socket_new(AF_UNIX, SOCK_STREAM);

	return number < 0 ? number : tti_socket_connect(number, a, ret_fd);
}

int tt_unix_connect(const char *path, tt_fd **ret_fd)
{
	struct tti_addr a;
	int rc;

	if (tti_current_or_panic("tt_unix_connect") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	rc = tti_addr_from_path("tt_unix_connect", path, &a);
	if (rc < 0)
		return rc;
	rc = connect_to(&a, ret_fd);
	return rc != TT_ECANCELED ? tt_wrap(rc, "connect to unix:%s", path) : rc;
}

/* ---- listening ---- */

static int listen_on(const struct tti_addr *a, int backlog, tt_fd **ret_listener)
{
	int number = tti_socket_new(AF_UNIX, SOCK_STREAM);

	return number < 0 ? number : tti_socket_listen(number, a, backlog, ret_listener);
}

static int listen_on_path(const struct tti_addr *a, const char *path, int backlog, tt_fd **ret_listener)
{
	struct tti_driver *d = tti_home_here->driver;
	int rc = listen_on(a, backlog, ret_listener);

	if (rc != TT_EADDRINUSE || !d->ops->is_stale(d, path, &a->room, a->len))
		return rc;
	/* If it is gone meanwhile, so much the better. */
	TT_IGNORE((int)tti_env_syscall(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0));
	return listen_on(a, backlog, ret_listener);
}

/* The file goes with the listener. */
static void remember_path(tt_fd *listener, char *path)
{
	struct tti_fd_call c;

	if (tti_fd_enter(listener, TTI_NEITHER, &c) < 0)
		return; /* nobody else has the handle yet, so that it cannot be closed */
	c.fd->path = path;
	TT_IGNORE((int)tti_fd_leave(&c, 0));
}

static int listen_with_file(const struct tti_addr *a, const char *path, int backlog, tt_fd **ret_listener)
{
	size_t size = strlen(path) + 1;
	char *copy = tti_env_alloc(size);
	int rc;

	if (copy == NULL)
		return TT_ENOMEM;
	memcpy(copy, path, size);
	rc = listen_on_path(a, path, backlog, ret_listener);
	if (rc == 0)
		remember_path(*ret_listener, copy);
	else
		tti_env_free(copy);
	return rc;
}

int tt_unix_listen(const char *path, int backlog, tt_fd **ret_listener)
{
	struct tti_addr a;
	int rc;

	if (tti_current_or_panic("tt_unix_listen") == NULL)
		return TT_EWRONGCTX;
	rc = tti_addr_from_path("tt_unix_listen", path, &a);
	if (rc < 0)
		return rc;
	if (path[0] == '@')
		rc = listen_on(&a, backlog, ret_listener);
	else
		rc = listen_with_file(&a, path, backlog, ret_listener);
	return tt_wrap(rc, "listen on unix:%s", path);
}
