/* SPDX-License-Identifier: MIT */
/*
 * disk.h - the files of a simulation below their descriptors: what programs see (memory), what
 * the disk has, and what lies between the two until a sync. Used by file.c, disk*.c
 * and testing/crash.c.
 *
 * Model       Bytes: a sector that is written has versions, of which a power cut keeps any one from
 *             the disk's on: writing back takes what memory holds at its moment, sectors in
 *             any order. Lengths: likewise one of those the file had since its last sync, whatever
 *             became of the bytes; blocks that were never written read as zeros or as garbage. Names:
 *             a change of names lasts once its folder was synced, a rename by the folder it leads to;
 *             before that any of them, but none without the earlier ones of the same names.
 *             A rename is whole or not at all: only file systems without a journal split it.
 * Strictness  What any of the common journalling file systems may do (Pillai et al., "All file systems
 *             are not created equal", OSDI 2014), with two mercies that all of them show: a sector is
 *             not torn, and fdatasync keeps every length, a smaller one too.
 */
#ifndef TTI_SIM_DISK_H
#define TTI_SIM_DISK_H

#include <tutti/file.h>

#include "base/list.h"
#include "sim/rng.h"
#include "sim/sim.h"

#define TTI_SIM_SECTOR 512u
#define TTI_SIM_PAGE_SECTORS 8u
#define TTI_SIM_DISK_BYTES (UINT64_C(1) << 28) /* of all files */

/* A sector as memory held it once. */
struct tti_sim_version {
	struct tti_sim_version *newer;
	uint64_t at;                         /* by files->changes */
	bool hole;                           /* cut off: what is written later is another block */
	uint8_t bytes[];                     /* TTI_SIM_SECTOR, or none of a hole */
};

struct tti_sim_sector {
	struct tti_sim_version *oldest, *newest; /* since the last sync; NULL: it is clean */
	bool on_disk;                        /* inode->disk has its bytes, wherever the file ends there */
};

struct tti_sim_length {
	uint64_t at, len;
};

struct tti_sim_inode {
	struct tti_list link;                /* files->inodes or files->ghosts */
	char *path;                          /* NULL: it has no name any more */
	char *disk_path;                     /* its name on the disk; NULL: none */
	const char *cut_path;                /* disk_cut.c: the name a power cut left; borrowed */
	unsigned opens;
	unsigned changes;                    /* of names, not on the disk, that speak of it */
	unsigned mode, disk_mode;
	uint64_t number;
	int64_t modified;                    /* virtual wall clock, ns */
	uint8_t *data;                       /* what programs see */
	size_t len, room;
	uint8_t *disk;
	size_t disk_len, disk_room;
	struct tti_sim_sector *sectors;      /* [n_sectors]; none has a version or is on_disk behind */
	size_t n_sectors;
	size_t versions;                     /* of all sectors */
	struct tti_sim_length *lengths;      /* since the last sync, oldest first */
	size_t n_lengths, lengths_room;
};

/* A change of names that is not on the disk. */
struct tti_sim_change {
	struct tti_list link;                /* files->changes_of_names */
	struct tti_sim_inode *inode, *replaced; /* replaced: by a rename, may be NULL */
	char *from, *to;                     /* from NULL: it was made; to NULL: removed */
	bool lost;                           /* disk_cut.c, sync_folder(): this one does not last */
};

static inline size_t tti_sim_sectors(uint64_t len)
{
	return (size_t)((len + TTI_SIM_SECTOR - 1) / TTI_SIM_SECTOR);
}

char *tti_sim_copy_text(const char *text);

/* ---- disk.c: as the system calls of these names, on what is found ---- */

/* Here a power cut would leave something else than at the place before. */
void tti_sim_place(struct tti_sim *sim, const char *what);

struct tti_sim_inode *tti_sim_find(struct tti_sim *sim, const char *path);
struct tti_sim_inode *tti_sim_make(struct tti_sim *sim, const char *path, unsigned mode);
void tti_sim_remove(struct tti_sim *sim, struct tti_sim_inode *i);
void tti_sim_rename(struct tti_sim *sim, struct tti_sim_inode *i, const char *to);
/* One that was open is so no more. */
void tti_sim_closed(struct tti_sim *sim, struct tti_sim_inode *i);
/* A folder's path without slashes at its end; freed by the caller. */
char *tti_sim_folder_name(const char *path);
void tti_sim_sync_folder(struct tti_sim *sim, const char *folder);

/* Two changes that name the same: their order holds. */
bool tti_sim_changes_meet(const struct tti_sim_change *a, const struct tti_sim_change *b);

/* The files of a run begin as d has them; at its end d has them as they are then: whoever ends in
 * an orderly way leaves nothing unsynced. NULL: no files, and nobody has them. */
void tti_sim_mount(struct tti_sim *sim, tt_sim_disk *d);
void tti_sim_unmount(struct tti_sim *sim, tt_sim_disk *d);

/* ---- disk_bytes.c: likewise ---- */

long tti_sim_resize(struct tti_sim *sim, struct tti_sim_inode *i, uint64_t len);
/* Fewer bytes where the disk ends, -ENOSPC only for the first. */
long tti_sim_put(struct tti_sim *sim, struct tti_sim_inode *i, const void *buf, size_t n, uint64_t offset);
void tti_sim_set_mode(struct tti_sim *sim, struct tti_sim_inode *i, unsigned mode);

void tti_sim_sync(struct tti_sim *sim, struct tti_sim_inode *i, bool data_only);
/* Quietly: bytes and length are on the disk. */
void tti_sim_write_back(struct tti_sim_inode *i);
bool tti_sim_is_dirty(const struct tti_sim_inode *i);
/* A sync that failed (Rebello et al., "Can applications recover from fsync failures?", ATC 2020):
 * some of what was to be written counts as clean and is not on the disk. */
void tti_sim_lose(struct tti_sim *sim, struct tti_sim_inode *i);
void tti_sim_free_bytes(struct tti_sim_inode *i);

/* ---- disk_cut.c: a disk between runs, and what a power cut makes of one ---- */

struct tti_sim_file {
	struct tti_list link;                /* disk->files, in the order they were made */
	char *path;
	unsigned mode;
	uint64_t number;
	int64_t modified;
	uint8_t *data;                       /* NULL if len is 0 */
	size_t len;
};

struct tt_sim_disk {
	struct tti_list files;
	uint64_t next_inode;
	uint64_t bytes;
	bool in_use;                         /* by a run */
};

tt_sim_disk *tti_sim_disk_copy(const tt_sim_disk *d);
void tti_sim_disk_clear(tt_sim_disk *d);
/* The same for the same names and bytes. */
uint64_t tti_sim_disk_hash(const tt_sim_disk *d);
/* Its files, each with its length, cut to fit. */
void tti_sim_disk_describe(const tt_sim_disk *d, char *buf, size_t n);

enum tti_sim_keep { TTI_SIM_KEEP_NONE, TTI_SIM_KEEP_ALL, TTI_SIM_KEEP_SOME };

/* One of the disks that a power cut may leave at this moment; the run goes on untouched. */
struct tti_sim_cut {
	enum tti_sim_keep names, lengths, bytes; /* what becomes of that which is not synced */
	size_t grain;                        /* sectors that are written back together; 0: of a whole file */
	bool garbage;                        /* blocks that were never written are not zeros */
	struct tti_rng rng;                  /* decides where it says SOME */
	bool torn;                           /* set: a page was written in part */
};

tt_sim_disk *tti_sim_cut(struct tti_sim *sim, struct tti_sim_cut *cut);

#endif
