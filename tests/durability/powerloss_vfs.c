/* SPDX-License-Identifier: MIT */
/*
 * powerloss_vfs.c - see powerloss_vfs.h.
 *
 * Invariants  durable + pending, applied in order, is what a reader sees (now), save for
 *             pages a failed sync forgot: those are in now alone.
 *             After CUT, TORN, KILL or SYNC_KILL the disk is dead: every call fails and
 *             changes nothing.
 *             A node lives while a name, now or durable, or an open file refers to it.
 * Threads     One; several connections.
 * Rejected    Copying real files at every point: a thousand points are then a thousand times
 *             all files, and the order of the unsynced writes is lost.
 */
#include "powerloss_vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define NAMES 16       /* files on the disk at once */
#define NAME_BYTES 128
#define SHM_REGIONS 64 /* of 32 KiB: an index for 262,000 frames */

struct bytes {
	uint8_t *data;
	size_t   len, cap;
};

/* A write (data) or a truncate to offset (data NULL) that no sync has followed. */
struct change {
	struct change *next;
	uint8_t       *data;
	size_t         offset, len;
};

struct node {
	struct bytes   now, durable;
	struct change *pending, **pending_end;
	unsigned       refs; /* names in either folder, and open files */
	/* Locks of the main file; levels as SQLite's. */
	unsigned shared, reserved, pending_lock, exclusive;
	/* The shared memory of its log index. */
	void    *regions[SHM_REGIONS];
	unsigned shm_shared[SQLITE_SHM_NLOCK], shm_exclusive[SQLITE_SHM_NLOCK];
	unsigned shm_users;
};

struct entry {
	char         name[NAME_BYTES];
	struct node *now, *durable; /* NULL: not in that view of the folder */
};

struct handle {
	sqlite3_file base; /* first */
	struct node *node;
	struct entry *entry; /* to delete on close; NULL otherwise */
	bool     sync_folder; /* the next sync makes the folder durable */
	int      level;       /* SQLITE_LOCK_* */
	bool     has_shm;
	unsigned shm_shared, shm_exclusive; /* bit masks of slots held */
};

static struct {
	struct entry entries[NAMES];
	uint64_t     ops, strike_at, seed, random;
	enum powerloss_fault fault;
	bool         struck, dead, full;
	unsigned     open_files;
	int          last_errno;
} disk;

/* ---- bytes, nodes, names ---- */

static void *must(void *memory)
{
	if (memory == NULL) {
		fprintf(stderr, "powerloss: out of memory\n");
		abort();
	}
	return memory;
}

static void bytes_resize(struct bytes *b, size_t len)
{
	if (len > b->cap) {
		b->cap = len + len / 2 + 4096;
		b->data = must(realloc(b->data, b->cap));
	}
	if (len > b->len)
		memset(b->data + b->len, 0, len - b->len);
	b->len = len;
}

static void bytes_write(struct bytes *b, size_t offset, const uint8_t *data, size_t len)
{
	if (offset + len > b->len)
		bytes_resize(b, offset + len);
	memcpy(b->data + offset, data, len);
}

static void bytes_copy(struct bytes *to, const struct bytes *from)
{
	bytes_resize(to, from->len);
	if (from->len > 0)
		memcpy(to->data, from->data, from->len);
}

static void node_drop_pending(struct node *n)
{
	while (n->pending != NULL) {
		struct change *c = n->pending;

		n->pending = c->next;
		free(c->data);
		free(c);
	}
	n->pending_end = &n->pending;
}

static void node_free_shm(struct node *n)
{
	for (int i = 0; i < SHM_REGIONS; i++) {
		free(n->regions[i]);
		n->regions[i] = NULL;
	}
}

static void node_put(struct node *n)
{
	if (n == NULL || --n->refs > 0)
		return;
	node_drop_pending(n);
	node_free_shm(n);
	free(n->now.data);
	free(n->durable.data);
	free(n);
}

static struct entry *find_entry(const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (disk.entries[i].now != NULL && strcmp(disk.entries[i].name, name) == 0)
			return &disk.entries[i];
	return NULL;
}

/* A name that is deleted now but still durable gets its new file in the same slot. */
static struct entry *slot_for(const char *name)
{
	struct entry *unused = NULL;

	for (int i = 0; i < NAMES; i++) {
		struct entry *e = &disk.entries[i];

		if (e->now == NULL && e->durable == NULL)
			unused = e;
		else if (strcmp(e->name, name) == 0)
			return e;
	}
	must(unused);
	snprintf(unused->name, sizeof(unused->name), "%s", name);
	return unused;
}

static struct entry *create_entry(const char *name)
{
	struct entry *e = slot_for(name);
	struct node *n = must(calloc(1, sizeof(*n)));

	n->pending_end = &n->pending;
	n->refs = 1;
	e->now = n;
	return e;
}

static void sync_folder(void)
{
	for (int i = 0; i < NAMES; i++) {
		struct entry *e = &disk.entries[i];

		if (e->durable == e->now)
			continue;
		node_put(e->durable);
		e->durable = e->now;
		if (e->now != NULL)
			e->now->refs++;
	}
}

/* ---- changes ---- */

static void add_change(struct node *n, const void *data, size_t len, size_t offset)
{
	struct change *c = must(calloc(1, sizeof(*c)));

	c->offset = offset;
	c->len = len;
	if (data != NULL) {
		c->data = must(malloc(len));
		memcpy(c->data, data, len);
		bytes_write(&n->now, offset, data, len);
	} else {
		bytes_resize(&n->now, offset);
	}
	*n->pending_end = c;
	n->pending_end = &c->next;
}

static void apply_change(struct bytes *b, const struct change *c)
{
	if (c->data != NULL)
		bytes_write(b, c->offset, c->data, c->len);
	else
		bytes_resize(b, c->offset);
}

static void node_sync(struct node *n)
{
	for (struct change *c = n->pending; c != NULL; c = c->next)
		apply_change(&n->durable, c);
	node_drop_pending(n);
}

static uint64_t draw(void)
{
	uint64_t z = (disk.seed += 0x9e3779b97f4a7c15ull); /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Each sector of a write survives or not by itself; so does a truncate. */
static void tear_change(struct bytes *b, const struct change *c)
{
	size_t at = 0;

	if (c->data == NULL) {
		if (draw() & 1)
			apply_change(b, c);
		return;
	}
	while (at < c->len) {
		size_t piece = SECTOR - (c->offset + at) % SECTOR;

		if (piece > c->len - at)
			piece = c->len - at;
		if (draw() & 1)
			bytes_write(b, c->offset + at, c->data + at, piece);
		at += piece;
	}
}

/* Counts one operation; true when the armed fault strikes at it. */
static bool strikes(void)
{
	disk.ops++;
	if (disk.struck || disk.fault == POWERLOSS_NONE || disk.ops < disk.strike_at)
		return false;
	return true;
}

static bool is_fatal(enum powerloss_fault fault)
{
	return fault == POWERLOSS_CUT || fault == POWERLOSS_TORN || fault == POWERLOSS_KILL;
}

/* For an operation that only a fatal fault can stop. True: it must fail. */
static bool dies(void)
{
	if (disk.dead)
		return true;
	if (strikes() && is_fatal(disk.fault))
		disk.struck = disk.dead = true;
	return disk.dead;
}

/* ---- the file methods ---- */

static struct handle *handle_of(sqlite3_file *file)
{
	return (struct handle *)file;
}

static void release_locks(struct handle *h)
{
	struct node *n = h->node;

	if (h->level >= SQLITE_LOCK_EXCLUSIVE)
		n->exclusive--;
	if (h->level >= SQLITE_LOCK_PENDING)
		n->pending_lock--;
	if (h->level >= SQLITE_LOCK_RESERVED)
		n->reserved--;
	if (h->level >= SQLITE_LOCK_SHARED)
		n->shared--;
	h->level = SQLITE_LOCK_NONE;
}

static void release_shm(struct handle *h, bool delete_it)
{
	struct node *n = h->node;

	if (!h->has_shm)
		return;
	for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
		n->shm_shared[i] -= (h->shm_shared >> i) & 1;
		n->shm_exclusive[i] -= (h->shm_exclusive >> i) & 1;
	}
	h->shm_shared = h->shm_exclusive = 0;
	h->has_shm = false;
	if (--n->shm_users == 0 && (delete_it || disk.dead))
		node_free_shm(n);
}

static int file_close(sqlite3_file *file)
{
	struct handle *h = handle_of(file);

	release_shm(h, false);
	release_locks(h);
	if (h->entry != NULL && !disk.dead && h->entry->now == h->node) {
		h->entry->now = NULL;
		node_put(h->node);
	}
	node_put(h->node);
	disk.open_files--;
	return SQLITE_OK;
}

static int file_read(sqlite3_file *file, void *data, int len, sqlite3_int64 offset)
{
	const struct bytes *b = &handle_of(file)->node->now;
	size_t at = (size_t)offset, want = (size_t)len, have;

	if (disk.dead)
		return SQLITE_IOERR_READ;
	have = at >= b->len ? 0 : b->len - at < want ? b->len - at : want;
	if (have > 0)
		memcpy(data, b->data + at, have);
	if (have == want)
		return SQLITE_OK;
	memset((uint8_t *)data + have, 0, want - have);
	return SQLITE_IOERR_SHORT_READ;
}

static int fail_full(struct node *n, const void *data, size_t len, size_t offset)
{
	size_t half = len / 2;

	if (disk.fault == POWERLOSS_FULL_SHORT && !disk.struck && half > 0)
		add_change(n, data, half, offset);
	disk.struck = true;
	disk.last_errno = ENOSPC;
	return SQLITE_FULL;
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
	struct node *n = handle_of(file)->node;
	bool grows = (size_t)offset + (size_t)len > n->now.len, now;

	if (disk.dead)
		return SQLITE_IOERR_WRITE;
	now = strikes();
	if (now && (disk.fault == POWERLOSS_FULL || disk.fault == POWERLOSS_FULL_SHORT))
		disk.full = true;
	if (disk.full && grows)
		return fail_full(n, data, (size_t)len, (size_t)offset);
	if (now && disk.fault == POWERLOSS_WRITE_ERROR) {
		disk.struck = true;
		disk.last_errno = EIO;
		return SQLITE_IOERR_WRITE;
	}
	/* The write under way when the power goes is one of the unsynced ones. */
	add_change(n, data, (size_t)len, (size_t)offset);
	if (now && is_fatal(disk.fault)) {
		disk.struck = disk.dead = true;
		return SQLITE_IOERR_WRITE;
	}
	return SQLITE_OK;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 len)
{
	if (dies())
		return SQLITE_IOERR_TRUNCATE;
	add_change(handle_of(file)->node, NULL, 0, (size_t)len);
	return SQLITE_OK;
}

static int file_sync(sqlite3_file *file, int flags)
{
	struct handle *h = handle_of(file);
	bool now;

	(void)flags;
	if (disk.dead)
		return SQLITE_IOERR_FSYNC;
	now = strikes();
	if (now && is_fatal(disk.fault)) {
		disk.struck = disk.dead = true;
		return SQLITE_IOERR_FSYNC;
	}
	if (now && (disk.fault == POWERLOSS_SYNC_ERROR || disk.fault == POWERLOSS_SYNC_KILL)) {
		disk.struck = true;
		disk.dead = disk.fault == POWERLOSS_SYNC_KILL;
		disk.last_errno = EIO;
		node_drop_pending(h->node); /* now keeps them, the disk never gets them */
		return SQLITE_IOERR_FSYNC;
	}
	node_sync(h->node);
	if (h->sync_folder)
		sync_folder();
	h->sync_folder = false;
	return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	if (disk.dead)
		return SQLITE_IOERR_FSTAT;
	*ret_size = (sqlite3_int64)handle_of(file)->node->now.len;
	return SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int level)
{
	struct handle *h = handle_of(file);
	struct node *n = h->node;

	if (disk.dead)
		return SQLITE_IOERR_LOCK;
	if (h->level >= level)
		return SQLITE_OK;
	if (h->level < SQLITE_LOCK_SHARED) {
		if (n->pending_lock > 0 || n->exclusive > 0)
			return SQLITE_BUSY;
		n->shared++;
		h->level = SQLITE_LOCK_SHARED;
	}
	if (level >= SQLITE_LOCK_RESERVED && h->level < SQLITE_LOCK_RESERVED) {
		if (n->reserved > 0)
			return SQLITE_BUSY;
		n->reserved++;
		h->level = SQLITE_LOCK_RESERVED;
	}
	if (level == SQLITE_LOCK_EXCLUSIVE) {
		if (h->level < SQLITE_LOCK_PENDING)
			n->pending_lock++;
		h->level = SQLITE_LOCK_PENDING;
		if (n->shared > 1)
			return SQLITE_BUSY;
		n->exclusive++;
		h->level = SQLITE_LOCK_EXCLUSIVE;
	}
	return SQLITE_OK;
}

static int file_unlock(sqlite3_file *file, int level)
{
	struct handle *h = handle_of(file);

	if (h->level <= level)
		return SQLITE_OK;
	release_locks(h);
	if (level == SQLITE_LOCK_SHARED) {
		h->node->shared++;
		h->level = SQLITE_LOCK_SHARED;
	}
	return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *file, int *ret_reserved)
{
	*ret_reserved = handle_of(file)->node->reserved > 0;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *file)
{
	(void)file;
	return SECTOR;
}

/* As the unix VFS says of ordinary disks. */
static int file_characteristics(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret_map)
{
	struct handle *h = handle_of(file);

	*ret_map = NULL;
	if (disk.dead || region >= SHM_REGIONS)
		return SQLITE_IOERR_SHMMAP;
	if (!h->has_shm) {
		h->has_shm = true;
		h->node->shm_users++;
	}
	if (h->node->regions[region] == NULL && extend)
		h->node->regions[region] = must(calloc(1, (size_t)size));
	*ret_map = h->node->regions[region];
	return SQLITE_OK;
}

static int shm_lock_one(struct handle *h, int slot, int flags)
{
	struct node *n = h->node;
	unsigned bit = 1u << slot;

	if (flags & SQLITE_SHM_UNLOCK) {
		n->shm_shared[slot] -= (h->shm_shared >> slot) & 1;
		n->shm_exclusive[slot] -= (h->shm_exclusive >> slot) & 1;
		h->shm_shared &= ~bit;
		h->shm_exclusive &= ~bit;
		return SQLITE_OK;
	}
	if (n->shm_exclusive[slot] > 0)
		return SQLITE_BUSY;
	if (flags & SQLITE_SHM_SHARED) {
		n->shm_shared[slot] += !(h->shm_shared & bit);
		h->shm_shared |= bit;
		return SQLITE_OK;
	}
	if (n->shm_shared[slot] > 0)
		return SQLITE_BUSY;
	n->shm_exclusive[slot]++;
	h->shm_exclusive |= bit;
	return SQLITE_OK;
}

static int shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	struct handle *h = handle_of(file);

	if (disk.dead && !(flags & SQLITE_SHM_UNLOCK))
		return SQLITE_IOERR_SHMLOCK;
	for (int i = offset; i < offset + n; i++) {
		int rc = shm_lock_one(h, i, flags);

		if (rc == SQLITE_OK)
			continue;
		while (i-- > offset)
			shm_lock_one(h, i, SQLITE_SHM_UNLOCK);
		return rc;
	}
	return SQLITE_OK;
}

static void shm_barrier(sqlite3_file *file)
{
	(void)file; /* one thread */
}

static int shm_unmap(sqlite3_file *file, int delete_it)
{
	release_shm(handle_of(file), delete_it != 0);
	return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
};

/* ---- the VFS methods ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
	struct handle *h = handle_of(file);
	struct entry *e;
	char temporary[NAME_BYTES];

	(void)vfs;
	memset(h, 0, sizeof(*h));
	if (name == NULL) {
		snprintf(temporary, sizeof(temporary), "/temporary-%llu",
		         (unsigned long long)disk.ops);
		name = temporary;
	}
	if (disk.dead)
		return SQLITE_CANTOPEN;
	e = find_entry(name);
	if (e == NULL) {
		if (!(flags & SQLITE_OPEN_CREATE) || dies())
			return SQLITE_CANTOPEN;
		e = create_entry(name);
	}
	h->node = e->now;
	h->node->refs++;
	h->entry = flags & SQLITE_OPEN_DELETEONCLOSE ? e : NULL;
	h->sync_folder = (flags & SQLITE_OPEN_CREATE)
	                 && (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL
	                              | SQLITE_OPEN_WAL));
	h->base.pMethods = &methods;
	disk.open_files++;
	if (ret_flags != NULL)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_it)
{
	struct entry *e;

	(void)vfs;
	if (dies())
		return SQLITE_IOERR_DELETE;
	e = find_entry(name);
	if (e == NULL)
		return SQLITE_IOERR_DELETE_NOENT;
	node_put(e->now);
	e->now = NULL;
	if (sync_it)
		sync_folder();
	return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_found)
{
	struct entry *e = find_entry(name);

	(void)vfs;
	if (disk.dead)
		return SQLITE_IOERR_ACCESS;
	/* As the unix VFS: an empty file does not count as existing. */
	*ret_found = e != NULL && (flags != SQLITE_ACCESS_EXISTS || e->now->now.len > 0);
	return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *ret_full)
{
	(void)vfs;
	snprintf(ret_full, (size_t)size, "%s%s", name[0] == '/' ? "" : "/", name);
	return SQLITE_OK;
}

/* Randomness goes into the log's salts: a run must be the same each time. */
static int vfs_randomness(sqlite3_vfs *vfs, int size, char *ret_bytes)
{
	(void)vfs;
	for (int i = 0; i < size; i++) {
		disk.random = disk.random * 6364136223846793005ull + 1442695040888963407ull;
		ret_bytes[i] = (char)(disk.random >> 56);
	}
	return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
	(void)vfs;
	return microseconds; /* nobody else runs: waiting changes nothing */
}

static int vfs_current_time(sqlite3_vfs *vfs, double *ret_julian)
{
	(void)vfs;
	*ret_julian = 2461000.5;
	return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *ret_text)
{
	(void)vfs;
	(void)size;
	(void)ret_text;
	return disk.last_errno;
}

static sqlite3_vfs powerloss = {
	.iVersion = 1,
	.szOsFile = sizeof(struct handle),
	.mxPathname = NAME_BYTES - 1,
	.zName = "powerloss",
	.xOpen = vfs_open,
	.xDelete = vfs_delete,
	.xAccess = vfs_access,
	.xFullPathname = vfs_full_pathname,
	.xRandomness = vfs_randomness,
	.xSleep = vfs_sleep,
	.xCurrentTime = vfs_current_time,
	.xGetLastError = vfs_last_error,
};

/* ---- what the tests call ---- */

int powerloss_register(void)
{
	return sqlite3_vfs_register(&powerloss, 0) == SQLITE_OK ? 0 : -1;
}

void powerloss_reset(void)
{
	must(disk.open_files == 0 ? &disk : NULL);
	for (int i = 0; i < NAMES; i++) {
		node_put(disk.entries[i].now);
		node_put(disk.entries[i].durable);
	}
	memset(&disk, 0, sizeof(disk));
}

void powerloss_arm(enum powerloss_fault fault, uint64_t op, uint64_t seed)
{
	disk.fault = fault;
	disk.strike_at = op;
	disk.seed = seed;
	disk.struck = false;
}

void powerloss_calm(void)
{
	disk.fault = POWERLOSS_NONE;
	disk.full = false;
}

/* Of each name that changed since the folder was synced, the old or the new state survives. */
static void settle_entry(struct entry *e, bool torn)
{
	if (e->now != e->durable) {
		bool keep_new = torn && (draw() & 1);
		struct node **lost = keep_new ? &e->durable : &e->now;

		node_put(*lost);
		*lost = keep_new ? e->now : e->durable;
		if (*lost != NULL)
			(*lost)->refs++;
	}
}

static void settle_node(struct node *n, bool torn)
{
	if (torn)
		for (struct change *c = n->pending; c != NULL; c = c->next)
			tear_change(&n->durable, c);
	node_drop_pending(n);
	bytes_copy(&n->now, &n->durable);
	node_free_shm(n);
}

void powerloss_restart(void)
{
	bool torn = disk.struck && disk.fault == POWERLOSS_TORN;
	bool keeps_cache = disk.struck && (disk.fault == POWERLOSS_KILL
	                                   || disk.fault == POWERLOSS_SYNC_KILL);

	must(disk.open_files == 0 ? &disk : NULL);
	for (int i = 0; i < NAMES; i++) {
		struct entry *e = &disk.entries[i];

		if (keeps_cache) {
			if (e->now != NULL)
				node_free_shm(e->now);
			continue;
		}
		settle_entry(e, torn);
		if (e->now != NULL)
			settle_node(e->now, torn);
	}
	disk.dead = disk.full = disk.struck = false;
	disk.fault = POWERLOSS_NONE;
}

bool powerloss_struck(void)
{
	return disk.struck;
}

uint64_t powerloss_ops(void)
{
	return disk.ops;
}

unsigned powerloss_open_files(void)
{
	return disk.open_files;
}
