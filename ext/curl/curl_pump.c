/* SPDX-License-Identifier: MIT */
/* curl_pump.c - one multi handle per worker and those who wait in it; see curl_pump.h. */
#include "curl_pump.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <tutti/error.h>
#include <tutti/lowlevel.h>
#include <tutti/net.h>

#define BUCKETS 64
/* Connections kept for later calls. libcurl counts those in use with them, and would by itself
 * keep four for each transfer that is left after a burst. */
#define IDLE_CONNECTIONS 64
#define EVENTS_AT_ONCE 32
/* How often libcurl may say "again, at once" before others of the worker get a turn. */
#define AT_ONCE_MAX 16
#define TIMEOUT_UNKNOWN (-2L)

struct tti_curl_pump {
	CURLM *multi;
	int set;                                /* the epoll set */
	int timer;                              /* in it */
	long timeout_ms;                        /* what libcurl asked for last; -1: nothing */
	bool timeout_changed;                   /* since the timer was set */
	bool leader_is_needed;                  /* something is there for the leader, which waits */
	unsigned n_users;                       /* transfers that were started here and not given back */
	struct tti_curl_transfer *table[BUCKETS];
	struct tti_curl_transfer *leader;
	struct tti_curl_transfer *first, *last; /* who waits without leading, in order */
	struct tti_curl_transfer *broken;       /* whose sockets the set refused */
};

static __thread struct tti_curl_pump *pump_here;

/* ---- the table ---- */

static struct tti_curl_transfer **bucket_of(struct tti_curl_pump *p, const CURL *easy)
{
	return &p->table[((uintptr_t)easy >> 6) % BUCKETS];
}

static struct tti_curl_transfer *find(struct tti_curl_pump *p, const CURL *easy)
{
	struct tti_curl_transfer *t = *bucket_of(p, easy);

	while (t != NULL && t->easy != easy)
		t = t->same_bucket;
	return t;
}

static void table_add(struct tti_curl_pump *p, struct tti_curl_transfer *t)
{
	struct tti_curl_transfer **at = bucket_of(p, t->easy);

	t->same_bucket = *at;
	*at = t;
	t->running = true;
}

static void table_remove(struct tti_curl_pump *p, struct tti_curl_transfer *t)
{
	struct tti_curl_transfer **at = bucket_of(p, t->easy);

	while (*at != t)
		at = &(*at)->same_bucket;
	*at = t->same_bucket;
	t->running = false;
}

/* ---- what libcurl asks for ---- */

static void watch_failed(struct tti_curl_pump *p, struct tti_curl_transfer *t, int code)
{
	if (t == NULL || t->rc < 0)
		return;
	t->rc = code;
	t->next_broken = p->broken;
	p->broken = t;
}

/* A number that was closed and opened again behind libcurl's back is in the set or not, whatever
 * we think. */
static int watch(struct tti_curl_pump *p, int fd, uint32_t events, bool known)
{
	struct epoll_event e = { .events = events, .data.fd = fd };
	int first = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, second = known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (epoll_ctl(p->set, first, fd, &e) == 0)
		return 0;
	if ((errno == ENOENT || errno == EEXIST) && epoll_ctl(p->set, second, fd, &e) == 0)
		return 0;
	return -errno;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	static char in_set;
	struct tti_curl_pump *p = arg;
	uint32_t events = 0;
	int rc;

	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(p->set, EPOLL_CTL_DEL, fd, NULL);
		curl_multi_assign(p->multi, fd, NULL);
		return 0;
	}
	if ((what & CURL_POLL_IN) != 0)
		events |= EPOLLIN;
	if ((what & CURL_POLL_OUT) != 0)
		events |= EPOLLOUT;
	rc = watch(p, fd, events, known != NULL);
	if (rc < 0)
		watch_failed(p, find(p, easy), rc);
	else
		curl_multi_assign(p->multi, fd, &in_set);
	return 0;
}

static int on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
	struct tti_curl_pump *p = arg;

	(void)multi;
	p->timeout_ms = timeout_ms;
	p->timeout_changed = true;
	return 0;
}

/* ---- making and unmaking ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;
static int once_rc;

static void destroy(struct tti_curl_pump *p)
{
	if (p->multi != NULL)
		curl_multi_cleanup(p->multi);
	if (p->timer >= 0)
		close(p->timer);
	if (p->set >= 0)
		close(p->set);
	free(p);
}

static void thread_ends(void *arg)
{
	destroy(arg);
}

/* Our count on libcurl's global state is never given back: pumps need it until the end. */
static void init_once(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		once_rc = TT_ENOMEM;
	else
		once_rc = -pthread_key_create(&at_thread_end, thread_ends);
}

static int make_descriptors(struct tti_curl_pump *p)
{
	struct epoll_event e = { .events = EPOLLIN };

	p->set = epoll_create1(EPOLL_CLOEXEC);
	if (p->set < 0)
		return -errno;
	p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (p->timer < 0)
		return -errno;
	e.data.fd = p->timer;
	return epoll_ctl(p->set, EPOLL_CTL_ADD, p->timer, &e) < 0 ? -errno : 0;
}

static int make_multi(struct tti_curl_pump *p)
{
	p->multi = curl_multi_init();
	if (p->multi == NULL)
		return TT_ENOMEM;
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	return 0;
}

static int make(struct tti_curl_pump **ret)
{
	struct tti_curl_pump *p;
	int rc;

	pthread_once(&once, init_once);
	if (once_rc < 0)
		return once_rc;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return TT_ENOMEM;
	p->set = p->timer = -1;
	p->timeout_ms = -1;
	rc = make_descriptors(p);
	if (rc == 0)
		rc = make_multi(p);
	if (rc == 0)
		rc = -pthread_setspecific(at_thread_end, p);
	if (rc < 0) {
		destroy(p);
		return rc;
	}
	*ret = p;
	return 0;
}

static int pump_of_this_worker(struct tti_curl_pump **ret)
{
	int rc = pump_here == NULL ? make(&pump_here) : 0;

	*ret = pump_here;
	return rc < 0 ? tt_fail(rc, "start libcurl on this worker") : 0;
}

bool tti_curl_is_here(const struct tti_curl_transfer *t)
{
	return t->pump == pump_here;
}

bool tti_curl_is_busy(const CURL *easy)
{
	return pump_here != NULL && find(pump_here, easy) != NULL;
}

void tt_curl_close_idle(void)
{
	struct tti_curl_pump *p = pump_here;

	if (p == NULL || p->n_users > 0)
		return;
	tt_fd_forget(p->set);
	pthread_setspecific(at_thread_end, NULL);
	pump_here = NULL;
	destroy(p);
}

/* ---- letting libcurl work ---- */

/* The leader waits for the set, not for its own word. */
static void wake(struct tti_curl_pump *p, struct tti_curl_transfer *t)
{
	if (p->leader == t)
		p->leader_is_needed = true;
	else
		tt_notify_one(&t->wake);
}

void tti_curl_is_ready(struct tti_curl_transfer *t)
{
	t->ready = true;
	wake(t->pump, t);
}

static void is_over(struct tti_curl_pump *p, struct tti_curl_transfer *t)
{
	curl_multi_remove_handle(p->multi, t->easy);
	table_remove(p, t);
	wake(p, t);
}

/* Those that ended, and those that cannot go on. */
static void collect(struct tti_curl_pump *p)
{
	struct tti_curl_transfer *t;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(p->multi, &left)) != NULL) {
		t = m->msg == CURLMSG_DONE ? find(p, m->easy_handle) : NULL;
		if (t == NULL)
			continue;
		t->result = m->data.result;
		t->rc = 0;
		is_over(p, t);
	}
	while ((t = p->broken) != NULL) {
		p->broken = t->next_broken;
		if (t->running && t->rc < 0)
			is_over(p, t);
	}
}

/* The timer is set only when what libcurl wants has changed: setting it also takes back that it
 * has fired. A leader that is needed while it waits is woken by it, too. */
static void set_timer(struct tti_curl_pump *p)
{
	struct itimerspec at = { .it_value = { 0, 0 } };
	bool at_once = p->timeout_ms == 0 || p->leader_is_needed;

	if (!p->timeout_changed && !p->leader_is_needed)
		return;
	p->timeout_changed = p->leader_is_needed = false;
	if (at_once)
		at.it_value.tv_nsec = 1;
	else if (p->timeout_ms > 0)
		at.it_value = (struct timespec){ p->timeout_ms / 1000, p->timeout_ms % 1000 * 1000000 };
	timerfd_settime(p->timer, 0, &at, NULL);
}

/* Time is up, says the timer or libcurl; what it wants next it says only if that is news to it. */
static void handle_timeout(struct tti_curl_pump *p)
{
	int running;

	p->timeout_ms = TIMEOUT_UNKNOWN;
	curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	if (p->timeout_ms == TIMEOUT_UNKNOWN)
		curl_multi_timeout(p->multi, &p->timeout_ms);
	p->timeout_changed = true;
}

/* Whatever is due at once, and what follows from it. */
static void settle(struct tti_curl_pump *p)
{
	for (int i = 0; p->timeout_ms == 0 && i < AT_ONCE_MAX; i++)
		handle_timeout(p);
	collect(p);
	set_timer(p);
}

static int action_of(uint32_t events)
{
	int action = 0;

	if ((events & EPOLLIN) != 0)
		action |= CURL_CSELECT_IN;
	if ((events & EPOLLOUT) != 0)
		action |= CURL_CSELECT_OUT;
	if ((events & (uint32_t)(EPOLLERR | EPOLLHUP)) != 0)
		action |= CURL_CSELECT_ERR;
	return action;
}

static const char *enter(void)
{
	return tt_forbid_waits("a libcurl callback");
}

static void leave(const char *before)
{
	tt_forbid_waits(before);
}

static void handle_events(struct tti_curl_pump *p)
{
	const char *before = enter();
	struct epoll_event events[EVENTS_AT_ONCE];
	int n = epoll_wait(p->set, events, EVENTS_AT_ONCE, 0), running;

	for (int i = 0; i < n; i++) {
		if (events[i].data.fd == p->timer)
			handle_timeout(p);
		else
			curl_multi_socket_action(p->multi, events[i].data.fd, action_of(events[i].events), &running);
	}
	settle(p);
	leave(before);
}

/* ---- one transfer ---- */

int tti_curl_start(struct tti_curl_transfer *t)
{
	struct tti_curl_pump *p;
	const char *before;
	CURLMcode code;
	int rc = pump_of_this_worker(&p);

	if (rc < 0)
		return rc;
	p->n_users += t->pump == NULL;
	t->pump = p;
	t->ready = t->refused = false;
	t->result = CURLE_OK;
	t->rc = 0;
	t->text[0] = '\0';
	before = enter();
	curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)(p->n_users + IDLE_CONNECTIONS));
	code = curl_multi_add_handle(p->multi, t->easy);
	if (code == CURLM_OK) {
		table_add(p, t);
		settle(p);
	}
	leave(before);
	return code == CURLM_OK ? 0 : tti_curl_multi_fail(code);
}

void tti_curl_stop(struct tti_curl_transfer *t)
{
	struct tti_curl_pump *p = t->pump;
	const char *before;

	if (!t->running)
		return;
	before = enter();
	curl_multi_remove_handle(p->multi, t->easy);
	table_remove(p, t);
	settle(p);
	leave(before);
}

void tti_curl_release(struct tti_curl_transfer *t)
{
	tti_curl_stop(t);
	if (t->pump != NULL)
		t->pump->n_users--;
}

void tti_curl_go_on(struct tti_curl_transfer *t)
{
	const char *before = enter();

	curl_easy_pause(t->easy, CURLPAUSE_CONT);
	settle(t->pump);
	leave(before);
}

int tti_curl_preload(struct tti_curl_pump *p, const char *entry)
{
	struct curl_slist *list = curl_slist_append(NULL, entry);
	CURL *helper = list != NULL ? curl_easy_init() : NULL;
	const char *before;
	int rc = TT_ENOMEM;

	if (helper != NULL) {
		/* A transfer takes its CURLOPT_RESOLVE into the multi handle's cache when it begins, and
		 * this one goes no further: there is no such protocol. */
		curl_easy_setopt(helper, CURLOPT_RESOLVE, list);
		curl_easy_setopt(helper, CURLOPT_URL, "tutti://names/");
		before = enter();
		rc = curl_multi_add_handle(p->multi, helper) == CURLM_OK ? 0 : TT_ENOMEM;
		settle(p);
		curl_multi_remove_handle(p->multi, helper);
		leave(before);
		curl_easy_cleanup(helper);
	}
	curl_slist_free_all(list);
	return tt_wrap(rc, "keep a name");
}

/* ---- waiting ---- */

static void queue_add(struct tti_curl_pump *p, struct tti_curl_transfer *t)
{
	t->next = NULL;
	t->prev = p->last;
	if (p->last != NULL)
		p->last->next = t;
	else
		p->first = t;
	p->last = t;
}

static void queue_remove(struct tti_curl_pump *p, struct tti_curl_transfer *t)
{
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		p->first = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	else
		p->last = t->prev;
}

static int lead(struct tti_curl_pump *p, struct tti_curl_transfer *t)
{
	int rc;

	p->leader = t;
	rc = tt_wait_fd(p->set, POLLIN);
	p->leader = NULL;
	if (rc > 0)
		handle_events(p);
	return rc < 0 ? rc : 0;
}

static int follow(struct tti_curl_pump *p, struct tti_curl_transfer *t)
{
	int rc;

	queue_add(p, t);
	rc = tt_notify_wait(&t->wake);
	queue_remove(p, t);
	return rc;
}

int tti_curl_wait(struct tti_curl_transfer *t)
{
	struct tti_curl_pump *p = t->pump;
	int rc = 0;

	while (t->running && !t->ready && rc == 0)
		rc = p->leader == NULL ? lead(p, t) : follow(p, t);
	/* Whoever leaves sees to it that one of those left leads. */
	if (p->leader == NULL && p->first != NULL)
		tt_notify_one(&p->first->wake);
	return t->running && !t->ready ? rc : 0;
}
