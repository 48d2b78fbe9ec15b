/* SPDX-License-Identifier: MIT */
/*
 * disk_cut.c - a disk between runs (tt_sim_disk), and the disks that a power cut may leave; see disk.h
 * for the model. Called publicly, by testing/crash.c, and by disk.c at begin and end of a run.
 *
 * A cut reads what disk.c keeps and changes nothing: the run goes on as if nobody had asked, so
 * that one run shows what a power cut would leave at each of its moments.
 */
#include "sim/disk.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <tutti/error.h>

#include "base/panic.h"

/* ---- a disk between runs ---- */

tt_sim_disk *tt_sim_disk_create(void)
{
	tt_sim_disk *d = tti_sim_alloc(sizeof(*d));

	*d = (tt_sim_disk){ .next_inode = 0 };
	tti_list_init(&d->files);
	return d;
}

static void free_file(tt_sim_disk *d, struct tti_sim_file *f)
{
	d->bytes -= f->len;
	tti_list_unlink(&f->link);
	tti_env_real.free(f->path);
	tti_env_real.free(f->data);
	tti_env_real.free(f);
}

void tti_sim_disk_clear(tt_sim_disk *d)
{
	struct tti_list *n;

	while ((n = tti_list_first(&d->files)) != NULL)
		free_file(d, TTI_CONTAINER_OF(n, struct tti_sim_file, link));
}

void tt_sim_disk_destroy(tt_sim_disk *d)
{
	if (d == NULL)
		return;
	TT_REQUIRE(!d->in_use, "tt_sim_disk_destroy: a run has the disk");
	tti_sim_disk_clear(d);
	tti_env_real.free(d);
}

/* Zeros if bytes is NULL. */
static struct tti_sim_file *add_file(tt_sim_disk *d, const char *path, const void *bytes, size_t len)
{
	struct tti_sim_file *f = tti_sim_alloc(sizeof(*f));

	*f = (struct tti_sim_file){ .mode = S_IFREG | 0644u, .len = len };
	f->path = tti_sim_copy_text(path);
	if (len > 0) {
		f->data = tti_sim_alloc(len);
		if (bytes != NULL)
			memcpy(f->data, bytes, len);
		else
			memset(f->data, 0, len);
	}
	d->bytes += len;
	tti_list_push_back(&d->files, &f->link);
	return f;
}

static struct tti_sim_file *find_file(const tt_sim_disk *d, const char *path)
{
	TTI_LIST_FOR_EACH (n, &d->files) {
		struct tti_sim_file *f = TTI_CONTAINER_OF(n, struct tti_sim_file, link);

		if (strcmp(f->path, path) == 0)
			return f;
	}
	return NULL;
}

void tt_sim_disk_put(tt_sim_disk *d, const char *path, const void *bytes, size_t n)
{
	struct tti_sim_file *old = find_file(d, path);

	TT_REQUIRE(!d->in_use, "tt_sim_disk_put: a run has the disk");
	if (old != NULL)
		free_file(d, old);
	TT_REQUIRE(n <= TTI_SIM_DISK_BYTES - d->bytes, "tt_sim_disk_put \"%s\": the disk has no room for %zu bytes", path, n);
	add_file(d, path, bytes, n)->number = ++d->next_inode;
}

int tt_sim_disk_get(const tt_sim_disk *d, const char *path, void *ret_buf, size_t n)
{
	const struct tti_sim_file *f = find_file(d, path);

	TT_REQUIRE(!d->in_use, "tt_sim_disk_get: a run has the disk");
	if (f == NULL)
		return TT_ENOENT;
	if (f->len > n)
		return -EFBIG;
	if (f->len > 0)
		memcpy(ret_buf, f->data, f->len);
	return (int)f->len;
}

tt_sim_disk *tti_sim_disk_copy(const tt_sim_disk *d)
{
	tt_sim_disk *copy = tt_sim_disk_create();

	if (d == NULL)
		return copy;
	copy->next_inode = d->next_inode;
	TTI_LIST_FOR_EACH (n, &d->files) {
		const struct tti_sim_file *f = TTI_CONTAINER_OF(n, struct tti_sim_file, link);
		struct tti_sim_file *to = add_file(copy, f->path, f->data, f->len);

		to->mode = f->mode;
		to->number = f->number;
		to->modified = f->modified;
	}
	return copy;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return tti_mix64(hash ^ n);
}

uint64_t tti_sim_disk_hash(const tt_sim_disk *d)
{
	uint64_t sum = 0;

	/* Names in whatever order are the same disk. */
	TTI_LIST_FOR_EACH (n, &d->files) {
		const struct tti_sim_file *f = TTI_CONTAINER_OF(n, struct tti_sim_file, link);

		sum += hash_bytes(hash_bytes(f->mode, f->path, strlen(f->path)), f->data, f->len);
	}
	return tti_mix64(sum);
}

void tti_sim_disk_describe(const tt_sim_disk *d, char *buf, size_t n)
{
	size_t len = (size_t)snprintf(buf, n, "%s", tti_list_empty(&d->files) ? "no files" : "");

	TTI_LIST_FOR_EACH (m, &d->files) {
		const struct tti_sim_file *f = TTI_CONTAINER_OF(m, struct tti_sim_file, link);

		if (len < n)
			len += (size_t)snprintf(buf + len, n - len, "%s%s: %zu bytes", len > 0 ? ", " : "", f->path, f->len);
	}
}

/* ---- the names that are left ---- */

static bool keeps(struct tti_sim_cut *cut, enum tti_sim_keep keep)
{
	return keep == TTI_SIM_KEEP_SOME ? tti_rng_below(&cut->rng, 2) == 0 : keep == TTI_SIM_KEEP_ALL;
}

static void begin_names(struct tti_list *inodes)
{
	TTI_LIST_FOR_EACH (n, inodes) {
		struct tti_sim_inode *i = TTI_CONTAINER_OF(n, struct tti_sim_inode, link);

		i->cut_path = i->disk_path;
	}
}

/* An earlier one of the same names is lost. */
static bool stands_on_nothing(struct tti_list *all, struct tti_sim_change *c)
{
	for (struct tti_list *n = all->next; n != &c->link; n = n->next) {
		const struct tti_sim_change *earlier = TTI_CONTAINER_OF(n, struct tti_sim_change, link);

		if (earlier->lost && tti_sim_changes_meet(earlier, c))
			return true;
	}
	return false;
}

static void cut_names(struct tti_sim *sim, struct tti_sim_cut *cut)
{
	struct tti_list *all = &sim->files.changes_of_names;

	begin_names(&sim->files.inodes);
	begin_names(&sim->files.ghosts);
	TTI_LIST_FOR_EACH (n, all) {
		struct tti_sim_change *c = TTI_CONTAINER_OF(n, struct tti_sim_change, link);

		c->lost = !keeps(cut, cut->names) || stands_on_nothing(all, c);
		if (c->lost)
			continue;
		if (c->replaced != NULL)
			c->replaced->cut_path = NULL;
		c->inode->cut_path = c->to;
	}
}

/* ---- the bytes that are left ---- */

/* The length the file has, and when it got that: cuts until then have happened. */
static size_t cut_length(const struct tti_sim_inode *i, struct tti_sim_cut *cut, uint64_t *ret_at)
{
	size_t kept = cut->lengths == TTI_SIM_KEEP_NONE  ? 0
	              : cut->lengths == TTI_SIM_KEEP_ALL ? i->n_lengths
	                                                 : (size_t)tti_rng_below(&cut->rng, i->n_lengths + 1);

	*ret_at = kept > 0 ? i->lengths[kept - 1].at : 0;
	return kept > 0 ? (size_t)i->lengths[kept - 1].len : i->disk_len;
}

/* When sectors [from, to) were written back together: one of the moments their versions were made
 * at, or 0, never since the sync. */
static uint64_t cut_moment(const struct tti_sim_inode *i, size_t from, size_t to, struct tti_sim_cut *cut)
{
	uint64_t n = 0, pick;

	if (cut->bytes != TTI_SIM_KEEP_SOME)
		return cut->bytes == TTI_SIM_KEEP_ALL ? UINT64_MAX : 0;
	for (size_t k = from; k < to; k++)
		for (const struct tti_sim_version *v = i->sectors[k].oldest; v != NULL; v = v->newer)
			n++;
	pick = tti_rng_below(&cut->rng, n + 1);
	for (size_t k = from; k < to && pick > 0; k++)
		for (const struct tti_sim_version *v = i->sectors[k].oldest; v != NULL; v = v->newer)
			if (--pick == 0)
				return v->at;
	return 0;
}

/* What a sector has when it was last written back at `moment` and the file was last cut at
 * `length_at`: the version; NULL with *ret_block: what was on the disk; NULL without: nothing was
 * ever written there, and if *ret_new a block waits for it all the same. */
static const struct tti_sim_version *version_at(const struct tti_sim_sector *s, uint64_t moment, uint64_t length_at,
                                                bool *ret_block, bool *ret_new)
{
	const struct tti_sim_version *best = NULL;

	*ret_block = s->on_disk;
	*ret_new = false;
	for (const struct tti_sim_version *v = s->oldest; v != NULL; v = v->newer) {
		if (v->hole && v->at > length_at)
			break;
		if (v->hole) {
			best = NULL;
			*ret_block = *ret_new = false;
		} else {
			*ret_new = true;
			best = v->at <= moment ? v : best;
		}
	}
	return best;
}

static void cut_sector(const struct tti_sim_inode *i, size_t k, uint64_t moment, uint64_t length_at,
                       struct tti_sim_cut *cut, uint8_t *ret_bytes)
{
	bool block, is_new;
	const struct tti_sim_version *v = version_at(&i->sectors[k], moment, length_at, &block, &is_new);

	if (v != NULL)
		memcpy(ret_bytes, v->bytes, TTI_SIM_SECTOR);
	else if (block)
		memcpy(ret_bytes, i->disk + k * TTI_SIM_SECTOR, TTI_SIM_SECTOR);
	else
		memset(ret_bytes, is_new && cut->garbage ? 0xa5 : 0, TTI_SIM_SECTOR);
}

/* Written in part: of two dirty sectors of one page one is as in memory, the other is not. */
static void look_for_a_tear(const struct tti_sim_inode *i, size_t k, uint64_t moment, bool sides[2], struct tti_sim_cut *cut)
{
	const struct tti_sim_version *newest = i->sectors[k].newest;

	if (k % TTI_SIM_PAGE_SECTORS == 0)
		sides[0] = sides[1] = false;
	if (newest != NULL)
		sides[newest->at <= moment] = true;
	cut->torn = cut->torn || (sides[0] && sides[1]);
}

static void cut_bytes(const struct tti_sim_inode *i, uint64_t length_at, struct tti_sim_cut *cut, struct tti_sim_file *f)
{
	size_t end = tti_sim_sectors(f->len), grain = cut->grain > 0 ? cut->grain : end;
	uint8_t bytes[TTI_SIM_SECTOR];
	bool sides[2] = { false, false };
	uint64_t moment = 0;

	for (size_t k = 0; k < end && k < i->n_sectors; k++) {
		size_t at = k * TTI_SIM_SECTOR, unit_end = k + grain < i->n_sectors ? k + grain : i->n_sectors;

		if (k % grain == 0)
			moment = cut_moment(i, k, unit_end, cut);
		cut_sector(i, k, moment, length_at, cut, bytes);
		memcpy(f->data + at, bytes, f->len - at < TTI_SIM_SECTOR ? f->len - at : TTI_SIM_SECTOR);
		if (grain < TTI_SIM_PAGE_SECTORS)
			look_for_a_tear(i, k, moment, sides, cut);
	}
}

static void cut_files(struct tti_list *inodes, struct tti_sim_cut *cut, tt_sim_disk *d)
{
	TTI_LIST_FOR_EACH (n, inodes) {
		const struct tti_sim_inode *i = TTI_CONTAINER_OF(n, struct tti_sim_inode, link);
		struct tti_sim_file *f;
		uint64_t length_at;
		size_t len;

		if (i->cut_path == NULL)
			continue;
		len = cut_length(i, cut, &length_at);
		f = add_file(d, i->cut_path, NULL, len);
		f->number = i->number;
		f->modified = i->modified;
		f->mode = keeps(cut, cut->lengths) ? i->mode : i->disk_mode;
		cut_bytes(i, length_at, cut, f);
	}
}

tt_sim_disk *tti_sim_cut(struct tti_sim *sim, struct tti_sim_cut *cut)
{
	tt_sim_disk *d = tt_sim_disk_create();

	d->next_inode = sim->files.next_inode;
	cut_names(sim, cut);
	cut_files(&sim->files.inodes, cut, d);
	cut_files(&sim->files.ghosts, cut, d);
	return d;
}
