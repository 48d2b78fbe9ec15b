/* SPDX-License-Identifier: MIT */
/*
 * disk_bytes.c - the bytes of a simulation's files: as programs see them, as the disk has them, and the
 * versions between the two; see disk.h for the model. Called by file.c, on a worker or in a job of
 * the pool, and by disk.c.
 *
 * Invariants  What a power cut may leave of an inode is exactly: per sector the disk's bytes or one
 *             of the versions, and the disk's length or one of the lengths. A sync leaves one choice.
 * Bound       An inode with more than VERSIONS_MAX versions is written back as a whole, as a kernel
 *             does in the background: what is kept stays small, and a cut sees less there.
 */
#include "sim/disk.h"

#include <string.h>
#include <sys/stat.h>

#define VERSIONS_MAX 32768u
#define LENGTHS_MAX 4096u

/* ---- versions ---- */

static void clean_sector(struct tti_sim_inode *i, struct tti_sim_sector *s)
{
	while (s->oldest != NULL) {
		struct tti_sim_version *v = s->oldest;

		s->oldest = v->newer;
		tti_env_real.free(v);
		i->versions--;
	}
	s->newest = NULL;
}

void tti_sim_free_bytes(struct tti_sim_inode *i)
{
	for (size_t s = 0; s < i->n_sectors; s++)
		clean_sector(i, &i->sectors[s]);
	tti_env_real.free(i->data);
	tti_env_real.free(i->disk);
	tti_env_real.free(i->sectors);
	tti_env_real.free(i->lengths);
}

static void make_sectors(struct tti_sim_inode *i, size_t n)
{
	size_t room = n + n / 2 + 8;
	struct tti_sim_sector *more;

	if (n <= i->n_sectors)
		return;
	more = tti_sim_alloc(room * sizeof(*more));
	memset(more, 0, room * sizeof(*more));
	if (i->n_sectors > 0)
		memcpy(more, i->sectors, i->n_sectors * sizeof(*more));
	tti_env_real.free(i->sectors);
	i->sectors = more;
	i->n_sectors = room;
}

/* As of now, files->changes. */
static struct tti_sim_version *add_version(struct tti_sim *sim, struct tti_sim_inode *i, size_t sector, bool hole)
{
	struct tti_sim_version *v = tti_sim_alloc(sizeof(*v) + (hole ? 0 : TTI_SIM_SECTOR));
	struct tti_sim_sector *s;

	make_sectors(i, sector + 1);
	s = &i->sectors[sector];
	*v = (struct tti_sim_version){ .at = sim->files.changes, .hole = hole };
	if (s->newest != NULL)
		s->newest->newer = v;
	else
		s->oldest = v;
	s->newest = v;
	i->versions++;
	return v;
}

/* The sector as it is in memory; zeros behind the end. */
static void note_sector(struct tti_sim *sim, struct tti_sim_inode *i, size_t sector)
{
	struct tti_sim_version *v = add_version(sim, i, sector, false);
	size_t at = sector * TTI_SIM_SECTOR, n = i->len - at < TTI_SIM_SECTOR ? i->len - at : TTI_SIM_SECTOR;

	memcpy(v->bytes, i->data + at, n);
	memset(v->bytes + n, 0, TTI_SIM_SECTOR - n);
}

static void note_length(struct tti_sim *sim, struct tti_sim_inode *i)
{
	if (i->n_lengths == i->lengths_room) {
		size_t room = 2 * i->lengths_room + 8;
		struct tti_sim_length *more = tti_sim_alloc(room * sizeof(*more));

		if (i->n_lengths > 0)
			memcpy(more, i->lengths, i->n_lengths * sizeof(*more));
		tti_env_real.free(i->lengths);
		i->lengths = more;
		i->lengths_room = room;
	}
	i->lengths[i->n_lengths++] = (struct tti_sim_length){ sim->files.changes, i->len };
}

/* Something was written there since the file last ended before it. */
static bool has_block(const struct tti_sim_inode *i, size_t sector)
{
	if (sector >= i->n_sectors)
		return false;
	return i->sectors[sector].newest != NULL ? !i->sectors[sector].newest->hole : i->sectors[sector].on_disk;
}

/* What is behind a new, smaller end is gone: whole sectors with their blocks, at the same moment as the
 * length, so that one does not last without the other; the last one's rest as zeros. */
static void note_cut(struct tti_sim *sim, struct tti_sim_inode *i)
{
	size_t whole = tti_sim_sectors(i->len);

	for (size_t s = whole; s < i->n_sectors; s++)
		if (i->sectors[s].on_disk || i->sectors[s].oldest != NULL)
			add_version(sim, i, s, true);
	if (i->len % TTI_SIM_SECTOR != 0 && has_block(i, whole - 1))
		note_sector(sim, i, whole - 1);
}

static void disk_has(struct tti_sim_inode *i, size_t sector, const uint8_t *bytes)
{
	size_t end = (sector + 1) * TTI_SIM_SECTOR;

	if (end > i->disk_room) {
		size_t room = end + end / 2;
		uint8_t *more = tti_sim_alloc(room);

		if (i->disk_room > 0)
			memcpy(more, i->disk, i->disk_room);
		memset(more + i->disk_room, 0, room - i->disk_room);
		tti_env_real.free(i->disk);
		i->disk = more;
		i->disk_room = room;
	}
	memcpy(i->disk + sector * TTI_SIM_SECTOR, bytes, TTI_SIM_SECTOR);
	i->sectors[sector].on_disk = true;
}

void tti_sim_write_back(struct tti_sim_inode *i)
{
	for (size_t k = 0; k < i->n_sectors && i->versions > 0; k++) {
		struct tti_sim_sector *s = &i->sectors[k];

		if (s->newest == NULL)
			continue;
		if (s->newest->hole)
			s->on_disk = false;
		else
			disk_has(i, k, s->newest->bytes);
		clean_sector(i, s);
	}
	if (i->n_lengths > 0)
		i->disk_len = (size_t)i->lengths[i->n_lengths - 1].len;
	i->n_lengths = 0;
}

static void bound(struct tti_sim_inode *i)
{
	if (i->versions > VERSIONS_MAX || i->n_lengths > LENGTHS_MAX)
		tti_sim_write_back(i);
}

/* ---- bytes ---- */

static void make_room(struct tti_sim_inode *i, size_t len)
{
	size_t room = len + len / 2 + 64;
	uint8_t *data;

	if (len <= i->room)
		return;
	data = tti_sim_alloc(room);
	if (i->len > 0)
		memcpy(data, i->data, i->len);
	tti_env_real.free(i->data);
	i->data = data;
	i->room = room;
}

static void set_length(struct tti_sim *sim, struct tti_sim_inode *i, size_t len)
{
	size_t before = i->len;

	sim->files.changes++;
	make_room(i, len);
	if (len > before)
		memset(i->data + before, 0, len - before);
	sim->files.bytes += len - before;
	i->len = len;
	note_length(sim, i);
	if (len < before)
		note_cut(sim, i);
	i->modified = tti_env_wall();
}

static uint64_t space_left(const struct tti_sim *sim)
{
	return TTI_SIM_DISK_BYTES - sim->files.bytes;
}

long tti_sim_resize(struct tti_sim *sim, struct tti_sim_inode *i, uint64_t len)
{
	if (len > TTI_SIM_DISK_BYTES)
		return -EFBIG;
	if (len > i->len && len - i->len > space_left(sim))
		return -ENOSPC;
	if (len == i->len)
		return 0;
	tti_sim_place(sim, "truncate");
	set_length(sim, i, (size_t)len);
	bound(i);
	return 0;
}

long tti_sim_put(struct tti_sim *sim, struct tti_sim_inode *i, const void *buf, size_t n, uint64_t offset)
{
	if (n > TTI_SIM_DISK_BYTES || offset > TTI_SIM_DISK_BYTES)
		return -EFBIG;
	if (n == 0)
		return 0;
	if (offset + n > i->len && offset + n - i->len > space_left(sim)) {
		uint64_t end = i->len + space_left(sim);

		if (end <= offset)
			return -ENOSPC;
		n = (size_t)(end - offset);
	}
	tti_sim_place(sim, "write");
	if (offset + n > i->len)
		set_length(sim, i, (size_t)offset + n);
	memcpy(i->data + offset, buf, n);
	sim->files.changes++;
	for (size_t s = (size_t)offset / TTI_SIM_SECTOR; s < tti_sim_sectors(offset + n); s++)
		note_sector(sim, i, s);
	i->modified = tti_env_wall();
	bound(i);
	return (long)n;
}

void tti_sim_set_mode(struct tti_sim *sim, struct tti_sim_inode *i, unsigned mode)
{
	tti_sim_place(sim, "mode");
	i->mode = S_IFREG | (mode & 07777u);
}

/* ---- syncs ---- */

bool tti_sim_is_dirty(const struct tti_sim_inode *i)
{
	return i->versions > 0 || i->n_lengths > 0;
}

void tti_sim_sync(struct tti_sim *sim, struct tti_sim_inode *i, bool data_only)
{
	tti_sim_place(sim, data_only ? "sync of bytes" : "sync");
	tti_sim_write_back(i);
	if (!data_only)
		i->disk_mode = i->mode;
}

/* Zeros, or what some other file had there. */
static void fill_with_junk(struct tti_sim *sim, uint8_t *bytes)
{
	uint8_t junk = tti_sim_roll(sim, 2) == 0 ? 0 : (uint8_t)(1 + tti_sim_roll(sim, 255));

	memset(bytes, junk, TTI_SIM_SECTOR);
}

/* The bytes that count as clean: the disk's, or of a block that was never written. */
static const uint8_t *lose_sector(struct tti_sim *sim, struct tti_sim_inode *i, size_t sector)
{
	struct tti_sim_sector *s = &i->sectors[sector];
	bool is_new = !s->on_disk;

	for (const struct tti_sim_version *v = s->oldest; v != NULL; v = v->newer)
		is_new = is_new || v->hole;
	if (is_new) {
		fill_with_junk(sim, s->newest->bytes);
		return s->newest->bytes;
	}
	clean_sector(i, s);
	return i->disk + sector * TTI_SIM_SECTOR;
}

void tti_sim_lose(struct tti_sim *sim, struct tti_sim_inode *i)
{
	/* What memory has goes with it, sooner or later: here at once, or never. */
	bool evicted = tti_sim_roll(sim, 2) == 0;

	tti_sim_place(sim, "failing sync");
	for (size_t k = 0; k < i->n_sectors; k++) {
		const struct tti_sim_version *newest = i->sectors[k].newest;
		size_t at = k * TTI_SIM_SECTOR;
		const uint8_t *bytes;

		if (newest == NULL || newest->hole || tti_sim_roll(sim, 2) == 0)
			continue;
		bytes = lose_sector(sim, i, k);
		if (evicted && at < i->len)
			memcpy(i->data + at, bytes, i->len - at < TTI_SIM_SECTOR ? i->len - at : TTI_SIM_SECTOR);
	}
}
