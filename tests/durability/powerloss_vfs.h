/* SPDX-License-Identifier: MIT */
/*
 * powerloss_vfs.h - an SQLite VFS on a disk in memory whose power can be cut.
 *
 * Who calls it: the tests of this folder; SQLite through the VFS named "powerloss".
 *
 * Per file the disk keeps what was synced and, apart, the writes and truncates since; per
 * folder the names that were synced and the names there are now. An armed fault strikes at
 * the k-th operation that changes the disk (create, write, truncate, sync, delete). The test
 * then closes its connections, calls powerloss_restart(), and opens what survived.
 *
 * The disk is pessimistic where POSIX allows it: a created or deleted name is durable only
 * after its folder was synced (as the unix VFS does it: with the first sync of a journal or
 * log it opened, and in a delete that asks for it), and a failed sync forgets the pages it
 * could not write: they are still read back, but a later sync does not write them.
 */
#ifndef POWERLOSS_VFS_H
#define POWERLOSS_VFS_H

#include <stdbool.h>
#include <stdint.h>

enum powerloss_fault {
	POWERLOSS_NONE,
	POWERLOSS_CUT,        /* the power goes: nothing unsynced survives */
	POWERLOSS_TORN,       /* the power goes: a seeded choice of unsynced sectors survives */
	POWERLOSS_KILL,       /* the process dies, the system does not: all survives, unsynced */
	POWERLOSS_SYNC_KILL,  /* the next sync fails and forgets, and the process dies there */
	POWERLOSS_FULL,       /* writes that grow a file fail from here on, until powerloss_calm() */
	POWERLOSS_FULL_SHORT, /* the same, and what fits of the first one is written */
	POWERLOSS_WRITE_ERROR, /* the next write fails once */
	POWERLOSS_SYNC_ERROR  /* the next sync fails once, and forgets */
};

/* Registers the VFS "powerloss" (not the default one) on an empty disk. Returns 0 or -1. */
int powerloss_register(void);

/* A new empty disk; no file may be open. Disarms, and sets the operation count to 0. */
void powerloss_reset(void);

/* Strikes at operation number op, counted from the last reset; seed decides what is torn. */
void powerloss_arm(enum powerloss_fault fault, uint64_t op, uint64_t seed);

/* Ends FULL and disarms what has not struck. */
void powerloss_calm(void);

/* The power goes now, or after a fault that stopped the disk: what is left is there. */
void powerloss_restart(void);

bool     powerloss_struck(void);
uint64_t powerloss_ops(void);
unsigned powerloss_open_files(void);

#endif
