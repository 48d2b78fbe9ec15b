/* SPDX-License-Identifier: MIT */
/*
 * disk.c - the names of a simulation's files, which of them the disk has, and the life of an
 * inode; see disk.h for the model. Called by file.c, on a worker or in a job of the pool; their bytes
 * are disk_bytes.c.
 *
 * Places      Before each change and each sync files->on_place is told: there a power cut would leave
 *             something else than before. What a call has acknowledged by then must last.
 * Invariants  An inode is in files->inodes while it has a name or a descriptor, in files->ghosts
 *             while only the disk or a change of names speaks of it, else it is freed.
 * Bound       The oldest of more than CHANGES_MAX changes of names reaches the disk by itself, as a
 *             journal's do.
 */
#include "sim/disk.h"

#include <string.h>
#include <sys/stat.h>

#include "base/panic.h"

#define CHANGES_MAX 1024u

void tti_sim_place(struct tti_sim *sim, const char *what)
{
	if (sim->files.on_place != NULL)
		sim->files.on_place(sim, what, sim->files.on_place_data);
}

/* ---- paths ---- */

static char *copy_bytes(const char *text, size_t n)
{
	char *copy = tti_sim_alloc(n + 1);

	memcpy(copy, text, n);
	copy[n] = '\0';
	return copy;
}

char *tti_sim_copy_text(const char *text)
{
	return copy_bytes(text, strlen(text));
}

char *tti_sim_folder_name(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return copy_bytes(path, n);
}

/* Where the last name of a path begins: behind its last slash. */
static size_t name_at(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

static char *folder_of(const char *path)
{
	size_t n = name_at(path);
	char *with_slash, *folder;

	if (n == 0)
		return copy_bytes(".", 1);
	with_slash = copy_bytes(path, n);
	folder = tti_sim_folder_name(with_slash);
	tti_env_real.free(with_slash);
	return folder;
}

static bool is_in_folder(const char *path, const char *folder)
{
	char *own = folder_of(path);
	bool same = strcmp(own, folder) == 0;

	tti_env_real.free(own);
	return same;
}

/* ---- the life of an inode ---- */

static void free_inode(struct tti_sim_inode *i)
{
	tti_sim_free_bytes(i);
	tti_list_unlink(&i->link);
	tti_env_real.free(i->path);
	tti_env_real.free(i->disk_path);
	tti_env_real.free(i);
}

/* Nobody sees it any more; the disk may still have it. */
static void become_ghost(struct tti_sim *sim, struct tti_sim_inode *i)
{
	sim->files.bytes -= i->len;
	tti_env_real.free(i->data);
	i->data = NULL;
	i->len = i->room = 0;
	tti_list_unlink(&i->link);
	tti_list_push_back(&sim->files.ghosts, &i->link);
}

static void let_go(struct tti_sim *sim, struct tti_sim_inode *i)
{
	if (i->path != NULL || i->opens > 0)
		return;
	become_ghost(sim, i);
	if (i->disk_path == NULL && i->changes == 0)
		free_inode(i);
}

void tti_sim_closed(struct tti_sim *sim, struct tti_sim_inode *i)
{
	i->opens--;
	let_go(sim, i);
}

/* ---- changes of names ---- */

/* Takes text, frees what was there. */
static void set_text(char **where, char *text)
{
	tti_env_real.free(*where);
	*where = text;
}

static bool same_name(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

bool tti_sim_changes_meet(const struct tti_sim_change *a, const struct tti_sim_change *b)
{
	return same_name(a->from, b->from) || same_name(a->from, b->to) || same_name(a->to, b->from) || same_name(a->to, b->to);
}

static void forget_change(struct tti_sim *sim, struct tti_sim_change *c)
{
	tti_list_unlink(&c->link);
	sim->files.n_changes--;
	c->inode->changes--;
	let_go(sim, c->inode);
	if (c->replaced != NULL) {
		c->replaced->changes--;
		let_go(sim, c->replaced);
	}
	tti_env_real.free(c->from);
	tti_env_real.free(c->to);
	tti_env_real.free(c);
}

/* The disk has it. */
static void change_lasts(struct tti_sim *sim, struct tti_sim_change *c)
{
	if (c->replaced != NULL)
		set_text(&c->replaced->disk_path, NULL);
	set_text(&c->inode->disk_path, c->to != NULL ? tti_sim_copy_text(c->to) : NULL);
	forget_change(sim, c);
}

static void note_change(struct tti_sim *sim, struct tti_sim_inode *i, struct tti_sim_inode *replaced, const char *from,
                        const char *to)
{
	struct tti_sim_change *c = tti_sim_alloc(sizeof(*c));

	*c = (struct tti_sim_change){ .inode = i, .replaced = replaced };
	c->from = from != NULL ? tti_sim_copy_text(from) : NULL;
	c->to = to != NULL ? tti_sim_copy_text(to) : NULL;
	i->changes++;
	if (replaced != NULL)
		replaced->changes++;
	tti_list_push_back(&sim->files.changes_of_names, &c->link);
	if (++sim->files.n_changes > CHANGES_MAX)
		change_lasts(sim, TTI_CONTAINER_OF(tti_list_first(&sim->files.changes_of_names), struct tti_sim_change, link));
}

struct tti_sim_inode *tti_sim_find(struct tti_sim *sim, const char *path)
{
	TTI_LIST_FOR_EACH (n, &sim->files.inodes) {
		struct tti_sim_inode *i = TTI_CONTAINER_OF(n, struct tti_sim_inode, link);

		if (same_name(i->path, path))
			return i;
	}
	return NULL;
}

struct tti_sim_inode *tti_sim_make(struct tti_sim *sim, const char *path, unsigned mode)
{
	struct tti_sim_inode *i = tti_sim_alloc(sizeof(*i));

	tti_sim_place(sim, "create");
	*i = (struct tti_sim_inode){ .mode = S_IFREG | (mode & 07777u), .number = ++sim->files.next_inode };
	i->disk_mode = i->mode;
	i->modified = tti_env_wall();
	i->path = tti_sim_copy_text(path);
	tti_list_push_back(&sim->files.inodes, &i->link);
	note_change(sim, i, NULL, NULL, path);
	return i;
}

static void remove_quietly(struct tti_sim *sim, struct tti_sim_inode *i)
{
	set_text(&i->path, NULL);
	let_go(sim, i);
}

void tti_sim_remove(struct tti_sim *sim, struct tti_sim_inode *i)
{
	tti_sim_place(sim, "remove");
	note_change(sim, i, NULL, i->path, NULL);
	remove_quietly(sim, i);
}

void tti_sim_rename(struct tti_sim *sim, struct tti_sim_inode *i, const char *to)
{
	struct tti_sim_inode *old = tti_sim_find(sim, to);

	tti_sim_place(sim, "rename");
	note_change(sim, i, old, i->path, to);
	if (old != NULL)
		remove_quietly(sim, old);
	set_text(&i->path, tti_sim_copy_text(to));
}

/* Those of this folder, and the earlier ones that they stand on; marks the others lost. */
static void choose_synced(struct tti_sim *sim, const char *folder)
{
	struct tti_list *all = &sim->files.changes_of_names;

	for (struct tti_list *n = all->prev; n != all; n = n->prev) {
		struct tti_sim_change *c = TTI_CONTAINER_OF(n, struct tti_sim_change, link);

		c->lost = !is_in_folder(c->to != NULL ? c->to : c->from, folder);
		for (struct tti_list *m = n->next; m != all && c->lost; m = m->next) {
			const struct tti_sim_change *later = TTI_CONTAINER_OF(m, struct tti_sim_change, link);

			c->lost = later->lost || !tti_sim_changes_meet(c, later);
		}
	}
}

void tti_sim_sync_folder(struct tti_sim *sim, const char *folder)
{
	tti_sim_place(sim, "sync of a folder");
	choose_synced(sim, folder);
	TTI_LIST_FOR_EACH (n, &sim->files.changes_of_names) {
		struct tti_sim_change *c = TTI_CONTAINER_OF(n, struct tti_sim_change, link);

		if (!c->lost)
			change_lasts(sim, c);
	}
}

/* ---- begin and end ---- */

void tti_sim_mount(struct tti_sim *sim, tt_sim_disk *d)
{
	tti_list_init(&sim->files.inodes);
	tti_list_init(&sim->files.ghosts);
	tti_list_init(&sim->files.changes_of_names);
	if (d == NULL)
		return;
	TT_REQUIRE(!d->in_use, "tt_sim_options.disk: another run has it");
	d->in_use = true;
	sim->files.next_inode = d->next_inode;
	TTI_LIST_FOR_EACH (n, &d->files) {
		const struct tti_sim_file *f = TTI_CONTAINER_OF(n, struct tti_sim_file, link);
		struct tti_sim_inode *i = tti_sim_alloc(sizeof(*i));

		*i = (struct tti_sim_inode){ .mode = f->mode, .disk_mode = f->mode, .number = f->number, .modified = f->modified };
		i->path = tti_sim_copy_text(f->path);
		tti_list_push_back(&sim->files.inodes, &i->link);
		note_change(sim, i, NULL, NULL, f->path);
		if (f->len > 0)
			TT_IGNORE((int)tti_sim_put(sim, i, f->data, f->len, 0)); /* it fitted before */
		i->modified = f->modified;
		tti_sim_write_back(i);
	}
	while (!tti_list_empty(&sim->files.changes_of_names))
		change_lasts(sim, TTI_CONTAINER_OF(tti_list_first(&sim->files.changes_of_names), struct tti_sim_change, link));
}

static void take_back(tt_sim_disk *d, struct tti_sim_inode *i)
{
	struct tti_sim_file *f = tti_sim_alloc(sizeof(*f));

	*f = (struct tti_sim_file){
		.path = i->path, .mode = i->mode, .number = i->number, .modified = i->modified, .len = i->len,
	};
	f->data = i->len > 0 ? i->data : NULL;
	if (i->len > 0)
		i->data = NULL;
	i->path = NULL;
	d->bytes += f->len;
	tti_list_push_back(&d->files, &f->link);
}

void tti_sim_unmount(struct tti_sim *sim, tt_sim_disk *d)
{
	struct tti_list *n;

	while ((n = tti_list_first(&sim->files.changes_of_names)) != NULL)
		forget_change(sim, TTI_CONTAINER_OF(n, struct tti_sim_change, link));
	if (d != NULL) {
		tti_sim_disk_clear(d);
		d->next_inode = sim->files.next_inode;
		d->in_use = false;
	}
	while ((n = tti_list_first(&sim->files.inodes)) != NULL) {
		struct tti_sim_inode *i = TTI_CONTAINER_OF(n, struct tti_sim_inode, link);

		if (d != NULL && i->path != NULL)
			take_back(d, i);
		free_inode(i);
	}
	while ((n = tti_list_first(&sim->files.ghosts)) != NULL)
		free_inode(TTI_CONTAINER_OF(n, struct tti_sim_inode, link));
}
