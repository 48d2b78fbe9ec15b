/* SPDX-License-Identifier: MIT */
/*
 * resolve.c - names to addresses without holding a worker: a job on the DNS lane of the
 * blocking pool, shared by all tasks of a worker that ask for the same name meanwhile.
 *
 * A lookup owns itself: it is made by the first who asks and freed when its answer comes
 * back, or when it could be withdrawn. A cancelled task leaves its lookup and returns;
 * the answer goes to those who are left, or to nobody.
 *
 *   asked --> QUEUED --> RUNNING --> answered on its home's thread, freed
 *                \---- the last one left: withdrawn, freed
 *
 * Threads     A lookup and those who ask belong to one worker; only the job's run() is on
 *             another thread. The list of all lookups is guarded by lock.
 */
#include "net/resolve.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <tutti/error.h>

#include "net/lookup.h"
#include "par/blocking.h"
#include "wait/wait.h"

struct lookup {
	struct tti_job job;
	struct tti_list link;                /* in lookups.list */
	struct tti_list askers;              /* struct asker; home's thread only */
	struct tti_home *home;               /* whose askers they are; set before it is listed */
	char host[TTI_HOST_MAX + 1];
	int rc;                              /* written by the job, read after it came back; so are these: */
	const char *why;
	struct tti_addr addrs[TTI_ADDRS_MAX];
};

/* A task that waits, in its frame. */
struct asker {
	struct tti_list link;
	struct tti_waiter waiter;
	struct lookup *lookup;
	struct tti_addr *ret_addrs;
	const char *why;
};

static struct {
	tti_spin lock;
	struct tti_list list;                /* lookups that have not come back, of every worker */
} lookups = { .list = { &lookups.list, &lookups.list } };

static void lookup_free(struct lookup *l)
{
	tti_spin_lock(&lookups.lock);
	tti_list_unlink(&l->link);
	tti_spin_unlock(&lookups.lock);
	tti_env_free(l);
}

/* ---- the job ---- */

static void lookup_run(struct tti_job *j)
{
	struct lookup *l = TTI_CONTAINER_OF(j, struct lookup, job);

	l->rc = tti_lookup(l->host, l->addrs, TTI_ADDRS_MAX, &l->why);
}

static void lookup_back(struct tti_msg *m)
{
	struct lookup *l = TTI_CONTAINER_OF(m, struct lookup, job.msg);
	struct tti_list *n;

	tti_error_clear(&l->job.err);
	while ((n = tti_list_pop_front(&l->askers)) != NULL) {
		struct asker *a = TTI_CONTAINER_OF(n, struct asker, link);

		if (!tti_claim(&a->waiter))
			continue;
		if (l->rc > 0)
			memcpy(a->ret_addrs, l->addrs, (size_t)l->rc * sizeof(l->addrs[0]));
		a->waiter.rc = l->rc;
		a->why = l->why;
		tti_wake(&a->waiter);
	}
	lookup_free(l);
}

/* ---- asking ---- */

static struct lookup *lookup_find(const char *host)
{
	struct lookup *found = NULL;

	tti_spin_lock(&lookups.lock);
	TTI_LIST_FOR_EACH (n, &lookups.list) {
		struct lookup *l = TTI_CONTAINER_OF(n, struct lookup, link);

		if (l->home == tti_home_here && strcmp(l->host, host) == 0)
			found = l;
	}
	tti_spin_unlock(&lookups.lock);
	return found;
}

static int lookup_start(const char *host, struct lookup **ret)
{
	struct lookup *l = tti_env_zalloc(sizeof(*l));
	int rc;

	if (l == NULL)
		return TT_ENOMEM;
	snprintf(l->host, sizeof(l->host), "%s", host);
	l->home = tti_home_here;
	l->job.run = lookup_run;
	l->job.msg.handle = lookup_back;
	tti_error_init(&l->job.err);
	tti_list_init(&l->askers);
	tti_spin_lock(&lookups.lock);
	tti_list_push_back(&lookups.list, &l->link);
	tti_spin_unlock(&lookups.lock);
	rc = tti_job_submit(&l->job, TTI_JOB_DNS);
	if (rc < 0) {
		lookup_free(l);
		return rc;
	}
	*ret = l;
	return 0;
}

/* The answer is abandoned. */
static void asker_abort(struct tti_waiter *w)
{
	struct asker *a = TTI_CONTAINER_OF(w, struct asker, waiter);
	struct lookup *l = a->lookup;

	tti_list_unlink(&a->link);
	if (tti_list_empty(&l->askers) && tti_job_withdraw(&l->job))
		lookup_free(l);
	tti_abort_by_claim(w);
}

static int lookup_wait(struct lookup *l, struct tti_addr *ret_addrs)
{
	struct asker a = { .lookup = l, .ret_addrs = ret_addrs };

	tti_waiter_init(&a.waiter, "name lookup", NULL);
	a.waiter.abort = asker_abort;
	tti_list_push_back(&l->askers, &a.link);
	tti_park(&a.waiter);
	if (a.waiter.rc < 0 && a.waiter.rc != TT_ECANCELED)
		return tt_fail(a.waiter.rc, "%s", a.why);
	return a.waiter.rc;
}

/* In a simulation the driver answers. */
static int ask_driver(struct tti_driver *d, const char *host, uint16_t port, struct tti_addr *ret_addrs)
{
	struct sockaddr_storage found[TTI_ADDRS_MAX];
	char text[8];
	int n;

	snprintf(text, sizeof(text), "%u", port);
	n = d->ops->resolve(d, host, text, found, TTI_ADDRS_MAX);
	for (int i = 0; i < n; i++) {
		ret_addrs[i].room = found[i];
		ret_addrs[i].len = found[i].ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	}
	return n;
}

int tti_resolve(const char *host, uint16_t port, struct tti_addr ret_addrs[TTI_ADDRS_MAX])
{
	struct tti_driver *d = tti_home_here->driver;
	struct lookup *l;
	int rc;

	if (tti_addr_from_digits(host, port, &ret_addrs[0]))
		return 1;
	if (d->ops->resolve != NULL) {
		rc = ask_driver(d, host, port, ret_addrs);
	} else {
		l = lookup_find(host);
		rc = l != NULL ? 0 : lookup_start(host, &l);
		if (rc == 0)
			rc = lookup_wait(l, ret_addrs);
		for (int i = 0; i < rc; i++)
			tti_addr_set_port(&ret_addrs[i], port);
	}
	return rc != TT_ECANCELED ? tt_wrap(rc, "look up \"%s\"", host) : rc;
}
