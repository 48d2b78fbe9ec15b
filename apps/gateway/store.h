/* SPDX-License-Identifier: MIT */
/*
 * store.h - the narrow door between the gateway's batcher and a database.
 *
 * Who calls it: the batcher's writer thread (commit), jobs of the blocking pool (find, on a
 * second store opened read_only), main.c (open, ping, close). A database implements
 * struct store_ops; nothing above this header knows which one it is.
 *
 * Invariants  A verdict exists only after the transaction that stands behind it is durable:
 *             store_commit() writes ret_verdicts last and only when it returns 0.
 *             STORE_DUPLICATE says that the first copy is durable too, be it from another
 *             batch, another process, or earlier in this batch.
 *             After any failure the store may be used again; it repairs itself first.
 * Threads     Every function blocks. A store is one connection: one thread at a time, and
 *             not a task's (the writer has its own thread). Two stores are independent.
 * Rejected    One store with a reader inside: the reader's lock would be taken by whoever
 *             asks, and the writer would wait behind a slow find.
 *             A retry inside commit: only the batcher knows the deadlines of its events.
 */
#ifndef GATEWAY_STORE_H
#define GATEWAY_STORE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One event. The texts are the caller's and need not end in NUL; they must be valid UTF-8
 * (the gateway validates them once, at the door) and hold no NUL byte.
 */
struct store_event {
	const char *id;          /* required, the key: the same id is the same event */
	const char *type;        /* required */
	const char *ts;          /* required, RFC 3339 */
	const char *tenant;      /* NULL: none */
	const char *props;       /* required, JSON text */
	const char *received_at; /* RFC 3339; NULL: the store writes the time of the commit */
	size_t id_len, type_len, ts_len, tenant_len, props_len, received_at_len;
	const char *reason; /* output, static text: why STORE_REJECTED; set with the verdict */
};

enum store_verdict {
	STORE_PENDING,   /* never a result: what a caller's array holds before the commit */
	STORE_ACCEPTED,  /* durable, and this copy is the one that is kept */
	STORE_DUPLICATE, /* durable already; this copy was dropped */
	STORE_REJECTED   /* this row breaks a rule of the table; the others are not affected */
};

/*
 * The transaction may or may not be durable. It never becomes half so. Committing the same
 * events again settles it: STORE_DUPLICATE for what had been stored, STORE_ACCEPTED for what
 * had not, and both are durable then.
 */
#define STORE_EUNKNOWN (-20001)

/* How hard a commit is. Everything but FULL breaks the promise of a 2xx at a power loss. */
enum store_sync { STORE_SYNC_FULL, STORE_SYNC_NORMAL, STORE_SYNC_OFF };

struct store_options {
	bool            read_only;    /* for find and ping; commit then gives -EROFS */
	enum store_sync sync;
	uint32_t        busy_ms;      /* to wait for another process's lock; 0: 2,000 */
	uint32_t        wal_pages;    /* SQLite: checkpoint when the log has so many; 0: 1,000 */
	const char     *vfs;          /* SQLite: a registered VFS, for tests; NULL: the default */
};

/* What find copied out. The texts are NUL-terminated as well; all lie in one allocation. */
struct store_found {
	struct store_event event;
	void              *block;
};

struct store; /* begins with its ops */

struct store_ops {
	const char *scheme; /* "sqlite" for "sqlite:PATH" */
	int (*open)(const char *location, const struct store_options *options,
	            struct store **ret_store, char *ret_error, size_t error_size);
	int (*commit)(struct store *s, struct store_event *const *events, size_t n,
	              enum store_verdict *ret_verdicts, char *ret_error, size_t error_size);
	int (*find)(struct store *s, const char *id, size_t id_len, struct store_found *ret_found,
	            char *ret_error, size_t error_size);
	int (*ping)(struct store *s, char *ret_error, size_t error_size);
	void (*close)(struct store *s);
};

struct store {
	const struct store_ops *ops;
};

extern const struct store_ops store_sqlite_ops;

/*
 * Where a test build may die, NULL otherwise. Called by the store's thread with
 * "before_commit"  once a commit, everything inserted, COMMIT not begun
 * "in_commit"      three times a commit that changes something: the log half written; all
 *                  written and not synced; synced and not yet visible
 * "after_commit"   once a commit, durable, no verdict given yet
 * The gateway adds "before_ack". Set it before the first store is opened.
 */
extern void (*store_crash_hook)(const char *point);

/*
 * Atomic. Set to 1, for good: no store waits for another process's lock any more; whoever
 * waits for one now fails with -EBUSY within milliseconds. For a stop that is out of time.
 */
extern int store_give_up;

/*
 * store_open - open the database that url names, as "sqlite:events.db".
 *
 * Blocks     yes: creates the file and its schema if missing, makes what a crash left durable
 * Returns    0 and the store
 * Errors     -EINVAL the url; -ENOENT, -EACCES, -EISDIR, -EROFS the path; -EBADMSG no database
 *            or a damaged one; -ENOTSUP a schema of a newer or another program; -EBUSY,
 *            -ENOSPC, -EIO, -ENOMEM. The text names path and cause.
 * Ownership  the caller's, to store_close(); url and options are not kept
 */
static inline int store_open(const char *url, const struct store_options *options,
                             struct store **ret_store, char *ret_error, size_t error_size)
{
	static const struct store_ops *const known[] = { &store_sqlite_ops };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t len = strlen(known[i]->scheme);

		if (strncmp(url, known[i]->scheme, len) == 0 && url[len] == ':')
			return known[i]->open(url + len + 1, options, ret_store, ret_error,
			                      error_size);
	}
	snprintf(ret_error, error_size, "store '%.80s': not of the form sqlite:PATH", url);
	return -EINVAL;
}

/*
 * store_commit - store n events in one transaction and say what became of each.
 *
 * Blocks     yes, until durable
 * Returns    0, and then ret_verdicts[i] is ACCEPTED, DUPLICATE or REJECTED (with
 *            events[i]->reason)
 * Errors     nothing of the batch is stored: -ENOSPC, -EBUSY locked, -EROFS, -EIO, -EBADMSG
 *            damaged, -ESTALE the file was moved away, -ENOMEM, or an open error.
 *            STORE_EUNKNOWN: see there. ret_verdicts and reasons are then untouched.
 * Ownership  nothing is kept
 */
static inline int store_commit(struct store *s, struct store_event *const *events, size_t n,
                               enum store_verdict *ret_verdicts, char *ret_error,
                               size_t error_size)
{
	return s->ops->commit(s, events, n, ret_verdicts, ret_error, error_size);
}

/*
 * store_find - copy out the event with this id.
 *
 * Blocks     yes
 * Returns    1 found, 0 no such event
 * Errors     as store_commit(), without STORE_EUNKNOWN
 * Ownership  store_found_fini() releases the texts. props is JSON text as it came in; the
 *            others are plain text, to be escaped.
 */
static inline int store_find(struct store *s, const char *id, size_t id_len,
                             struct store_found *ret_found, char *ret_error, size_t error_size)
{
	return s->ops->find(s, id, id_len, ret_found, ret_error, error_size);
}

static inline void store_found_fini(struct store_found *found)
{
	if (found == NULL)
		return;
	free(found->block);
	found->block = NULL;
}

/*
 * store_ping - is the store usable? Repairs the connection if it was in doubt and does what
 * upkeep is due, so a writer thread may call it when its queue is empty.
 *
 * Blocks     yes
 * Returns    0
 * Errors     as store_open()
 */
static inline int store_ping(struct store *s, char *ret_error, size_t error_size)
{
	return s->ops->ping(s, ret_error, error_size);
}

/* store_close - close and free; NULL does nothing. What was committed stays committed. */
static inline void store_close(struct store *s)
{
	if (s != NULL)
		s->ops->close(s);
}

#endif
