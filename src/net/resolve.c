/* SPDX-License-Identifier: MIT */
/*
 * resolve.c - names to addresses without holding a worker: a job on the DNS lane of the
 * blocking pool, shared by all tasks of the runtime that ask for the same meanwhile. A
 * simulation's driver answers instead of the pool.
 *
 * A lookup owns itself: it is made by the first who asks and freed when its answer comes
 * back to that one's worker, or when it could be withdrawn. A cancelled task leaves its
 * lookup and returns; the answer goes to those who are left, or to nobody.
 *
 *   asked --> QUEUED --> RUNNING --> answered on its home's thread, freed
 *                \---- the last one left: withdrawn, freed
 *
 * Lock        lookups.lock guards the list and every lookup's askers; whoever takes a lookup
 *             off the list frees it. Under it the pool's lock may be taken, never the other
 *             way round.
 * Invariant   An asker in a lookup's list is waiting: a cancel takes it out of the list
 *             before it claims, an answer claims while it holds the lock. Who begins a lookup
 *             is in its list until it parks, so that nobody withdraws what was not submitted.
 */
#include "base/sometimes.h"
#include "net/resolve.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <tutti/dns.h>
#include <tutti/error.h>

#include "net/lookup.h"
#include "par/blocking.h"
#include "wait/wait.h"

#define SERVICE_MAX 31                       /* bytes of a service's name */

struct lookup {
	struct tti_job job;
	struct tti_name_query query;         /* to a driver that answers itself */
	struct tti_list link;                /* in lookups.list */
	struct tti_list askers;              /* struct asker */
	struct tti_home *home;               /* of the first who asked; set before it is listed */
	char host[TTI_HOST_MAX + 1];
	char service[SERVICE_MAX + 1];       /* "" where the asker knows the port */
	int rc;                              /* written by the job, read after it came back; so are these: */
	const char *why;
	struct tti_addr addrs[TTI_ADDRS_MAX];
	struct sockaddr_storage found[TTI_ADDRS_MAX]; /* by the driver */
};

/* A task that waits, in its frame. */
struct asker {
	struct tti_list link;                /* in lookup->askers; then in the answer's own list */
	struct tti_waiter waiter;
	struct lookup *lookup;               /* NULL once an answer has claimed it; guarded by the lock */
	struct tti_addr *ret_addrs;
	const char *why;
};

static struct {
	tti_spin lock;
	struct tti_list list;                /* lookups that have not come back, of every runtime */
} lookups = { .list = { &lookups.list, &lookups.list } };

static struct tti_runtime *runtime_of(struct tti_home *h)
{
	return tti_worker_of(h)->rt;
}

/* ---- answering ---- */

/* Takes the lookup off the list and claims all who ask, onto a private list; but for one that
 * does not wait. */
static void take_askers(struct lookup *l, struct asker *but, struct tti_list *ret)
{
	struct tti_list *n;

	tti_list_init(ret);
	tti_spin_lock(&lookups.lock);
	tti_list_unlink(&l->link);
	if (but != NULL)
		tti_list_unlink(&but->link);
	while ((n = tti_list_pop_front(&l->askers)) != NULL) {
		struct asker *a = TTI_CONTAINER_OF(n, struct asker, link);
		bool mine = tti_claim(&a->waiter);

		TT_ASSERT(mine);
		a->lookup = NULL;
		if (mine)
			tti_list_push_back(ret, n);
	}
	tti_spin_unlock(&lookups.lock);
}

/* Gives everybody the answer, and frees the lookup. */
static void answer(struct lookup *l, struct asker *but)
{
	struct tti_list askers, *n;

	take_askers(l, but, &askers);
	while ((n = tti_list_pop_front(&askers)) != NULL) {
		struct asker *a = TTI_CONTAINER_OF(n, struct asker, link);

		if (l->rc > 0)
			memcpy(a->ret_addrs, l->addrs, (size_t)l->rc * sizeof(l->addrs[0]));
		a->waiter.rc = l->rc;
		a->why = l->why;
		tti_wake(&a->waiter);
	}
	tti_env_free(l);
}

static void lookup_back(struct tti_msg *m)
{
	struct lookup *l = TTI_CONTAINER_OF(m, struct lookup, job.msg);

	tti_error_clear(&l->job.err);
	answer(l, NULL);
}

/* ---- asking the pool, or the driver ---- */

static void lookup_run(struct tti_job *j)
{
	struct lookup *l = TTI_CONTAINER_OF(j, struct lookup, job);

	l->rc = tti_lookup(l->host, l->service, l->addrs, TTI_ADDRS_MAX, &l->why);
}

static void driver_answered(struct tti_name_query *q)
{
	struct lookup *l = TTI_CONTAINER_OF(q, struct lookup, query);

	l->rc = q->rc;
	l->why = q->rc == TT_EINVAL ? "no such service" : "the simulated network does not know it";
	for (int i = 0; i < q->rc; i++) {
		l->addrs[i].room = l->found[i];
		l->addrs[i].len =
			l->found[i].ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	}
	l->home->ops->post(l->home, &l->job.msg);
}

static int submit(struct lookup *l)
{
	struct tti_driver *d = tti_home_here->driver;

	if (d->ops->resolve == NULL)
		return tti_job_submit(&l->job, TTI_JOB_DNS);
	l->query = (struct tti_name_query){
		.host = l->host, .service = l->service, .ret_addrs = l->found, .max = TTI_ADDRS_MAX,
		.answered = driver_answered,
	};
	d->ops->resolve(d, &l->query);
	return 0;
}

/* True: it will not come back. */
static bool take_back(struct lookup *l, bool force)
{
	struct tti_driver *d = tti_home_here->driver;

	if (d->ops->resolve == NULL)
		return tti_job_withdraw(&l->job);
	return d->ops->unresolve(d, &l->query, force);
}

/* ---- waiting ---- */

static struct lookup *lookup_new(const char *host, const char *service)
{
	struct lookup *l = tti_env_zalloc(sizeof(*l));

	if (l == NULL)
		return NULL;
	snprintf(l->host, sizeof(l->host), "%s", host);
	snprintf(l->service, sizeof(l->service), "%s", service);
	l->home = tti_home_here;
	l->job.run = lookup_run;
	l->job.msg.handle = lookup_back;
	tti_error_init(&l->job.err);
	tti_list_init(&l->askers);
	tti_list_init(&l->link);
	return l;
}

/* Under the lock. */
static struct lookup *lookup_find(const char *host, const char *service)
{
	TTI_LIST_FOR_EACH (n, &lookups.list) {
		struct lookup *l = TTI_CONTAINER_OF(n, struct lookup, link);

		if (runtime_of(l->home) == runtime_of(tti_home_here) && strcmp(l->host, host) == 0 &&
		    strcmp(l->service, service) == 0)
			return l;
	}
	return NULL;
}

/* Joins the lookup that is under way, else makes `fresh` the one: then true. */
static bool join(struct asker *a, struct lookup *fresh)
{
	bool made;

	tti_spin_lock(&lookups.lock);
	a->lookup = lookup_find(fresh->host, fresh->service);
	made = a->lookup == NULL;
	TTI_SOMETIMES(!made, "two tasks share a lookup");
	if (made) {
		a->lookup = fresh;
		tti_list_push_back(&lookups.list, &fresh->link);
	}
	tti_list_push_back(&a->lookup->askers, &a->link);
	tti_spin_unlock(&lookups.lock);
	return made;
}

/* The answer is abandoned. */
static void asker_abort(struct tti_waiter *w)
{
	struct asker *a = TTI_CONTAINER_OF(w, struct asker, waiter);
	struct lookup *l = NULL;

	tti_spin_lock(&lookups.lock);
	TTI_SOMETIMES(a->lookup == NULL, "a lookup is answered when who asked gives up");
	if (a->lookup != NULL) {
		tti_list_unlink(&a->link);
		TTI_SOMETIMES(!tti_list_empty(&a->lookup->askers), "one of those who share a lookup gives up");
		if (tti_list_empty(&a->lookup->askers) && take_back(a->lookup, false)) {
			TTI_SOMETIMES(true, "the last one who asked withdraws the lookup");
			l = a->lookup;
			tti_list_unlink(&l->link);
		}
	}
	tti_spin_unlock(&lookups.lock);
	tti_env_free(l);
	tti_abort_by_claim(w);
}

/* The lookup cannot be made: those who joined it meanwhile are told as well. Until then the asker
 * stays in its list, since the last one who leaves it withdraws the job. */
static int give_up(struct asker *a, struct lookup *l, int rc)
{
	l->rc = rc;
	l->why = "no thread for the lookup";
	answer(l, a);
	return tt_fail(rc, "no thread for the lookup");
}

/* The answer, ports as the service says. */
static int ask(const char *host, const char *service, struct tti_addr *ret_addrs)
{
	struct asker a = { .ret_addrs = ret_addrs };
	struct lookup *fresh = lookup_new(host, service);
	int rc;

	if (fresh == NULL)
		return TT_ENOMEM;
	tti_waiter_init(&a.waiter, "name lookup", NULL);
	a.waiter.abort = asker_abort;
	if (!join(&a, fresh)) {
		tti_env_free(fresh);
	} else {
		rc = submit(fresh);
		if (rc < 0)
			return give_up(&a, fresh, rc);
	}
	tti_park(&a.waiter);
	if (a.waiter.rc < 0 && a.waiter.rc != TT_ECANCELED)
		return tt_fail(a.waiter.rc, "%s", a.why);
	return a.waiter.rc;
}

/* ---- services ---- */

/* A port in digits, or the name of a service, which the lookup turns into a port. */
static int service_parse(const char *service, uint16_t *ret_port, const char **ret_name)
{
	unsigned long n = 0;
	size_t digits = strspn(service, "0123456789");

	*ret_port = 0;
	*ret_name = "";
	if (service[digits] != '\0' || digits > 5) {
		if (strlen(service) > SERVICE_MAX || digits > 5)
			return TT_EINVAL;
		*ret_name = service;
		return 0;
	}
	for (size_t i = 0; i < digits; i++)
		n = n * 10 + (unsigned long)(service[i] - '0');
	*ret_port = (uint16_t)n;
	return n <= UINT16_MAX ? 0 : TT_EINVAL;
}

/* *ret_addrs has room for TTI_ADDRS_MAX. */
static int resolve(const char *host, const char *service, uint16_t port, struct tti_addr *ret_addrs)
{
	int rc;

	if (service[0] == '\0' && tti_addr_from_digits(host, port, &ret_addrs[0]))
		return 1;
	rc = ask(host, service, ret_addrs);
	for (int i = 0; i < rc && service[0] == '\0'; i++)
		tti_addr_set_port(&ret_addrs[i], port);
	return rc != TT_ECANCELED ? tt_wrap(rc, "look up \"%s\"", host) : rc;
}

int tti_resolve(const char *host, uint16_t port, struct tti_addr ret_addrs[TTI_ADDRS_MAX])
{
	return resolve(host, "", port, ret_addrs);
}

int tt_resolve(const char *host, const char *service, tt_addr *ret_addrs, size_t max)
{
	struct tti_addr addrs[TTI_ADDRS_MAX];
	const char *name;
	uint16_t port;
	int rc;

	if (tti_current_or_panic("tt_resolve") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	if (max == 0)
		return tt_fail(TT_EINVAL, "tt_resolve: no room for an address");
	if (host[0] == '\0' || strlen(host) > TTI_HOST_MAX)
		return tt_fail(TT_EINVAL, "tt_resolve: a name has 1 to %d bytes, not %zu", TTI_HOST_MAX, strlen(host));
	if (service_parse(service != NULL ? service : "", &port, &name) < 0)
		return tt_fail(TT_EINVAL, "tt_resolve: service \"%s\"", service);
	rc = resolve(host, name, port, addrs);
	if (rc > 0 && (size_t)rc > max)
		rc = (int)max;
	for (int i = 0; i < rc; i++)
		*tti_addr_of(&ret_addrs[i]) = addrs[i];
	return rc;
}

/* ---- the end, and a look ---- */

void tti_resolve_shutdown(struct tti_runtime *rt)
{
	struct tti_driver *d = tti_home_here->driver;

	/* The pool's jobs have come back, or do so with their worker's last messages. */
	if (d->ops->resolve == NULL)
		return;
	/* Other simulations, on other threads, use the list as well. */
	tti_spin_lock(&lookups.lock);
	TTI_LIST_FOR_EACH (n, &lookups.list) {
		struct lookup *l = TTI_CONTAINER_OF(n, struct lookup, link);

		if (runtime_of(l->home) != rt || !take_back(l, true))
			continue;
		tti_list_unlink(&l->link);
		tti_env_free(l);
	}
	tti_spin_unlock(&lookups.lock);
}

size_t tti_resolve_under_way(void)
{
	size_t n = 0;

	tti_spin_lock(&lookups.lock);
	TTI_LIST_FOR_EACH (at, &lookups.list)
		n += runtime_of(TTI_CONTAINER_OF(at, struct lookup, link)->home) == runtime_of(tti_home_here);
	tti_spin_unlock(&lookups.lock);
	return n;
}
