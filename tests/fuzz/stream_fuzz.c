/* SPDX-License-Identifier: MIT */
/*
 * stream_fuzz.c - fuzz target: buffered reading and writing, against a plain array of bytes.
 *
 * Who calls it: see fuzz.h. Two tasks at the ends of a pair, in the simulator with its gentle
 * faults. The input: a seed, the sizes of both buffers, how many bytes go over, those
 * bytes, then what both sides do: two bytes a step, the writer's and the reader's in turn.
 *
 * Claims  However the bytes were written, cut by the network and asked for, the reader's calls
 *         return what the array says: tt_read_until() finds a delimiter if and only if it and
 *         what is before it fit the buffer; what a call did not return is still there for the next.
 *         Nothing is read beyond the end, and the end is told as each call promises.
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "fuzz.h"

enum { PAYLOAD_MAX = 600, BUFFER_MAX = 64, STEPS_MAX = 200 };

struct world {
	const char *payload;
	size_t len;
	size_t reader_cap, writer_cap;
	struct fuzz_input writes, reads;
};

/* ---- the writer ---- */

static int write_some(struct fuzz_input *in, tt_writer *w, tt_fd *fd, const struct world *x, size_t *at)
{
	unsigned kind = fuzz_below(in, 8);
	size_t n = fuzz_byte(in);

	n = n < x->len - *at ? n : x->len - *at;
	if (kind == 0)
		return tt_writer_flush(w);
	if (kind == 1)
		return tt_sleep(TT_US((int64_t)n));
	*at += n;
	if (kind > 2)
		return tt_writer_write(w, x->payload + *at - n, n);
	/* Past the buffer, once it is empty. */
	TT_TRY(tt_writer_flush(w));
	return tt_write_all(fd, x->payload + *at - n, n, NULL);
}

static TT_TASK(writes, (struct world *, x), (tt_fd *, fd, tt_fd_close))
{
	char *buf = fuzz_alloc(x->writer_cap);
	struct fuzz_input in = x->writes;
	tt_writer w;
	size_t at = 0;

	tt_writer_init(&w, fd, buf, x->writer_cap);
	while (in.left > 0 && at < x->len)
		MUST(write_some(&in, &w, fd, x, &at) == 0);
	MUST(tt_writer_write(&w, x->payload + at, x->len - at) == 0);
	MUST(tt_writer_flush(&w) == 0);
	free(buf);
	tt_fd_close(fd);
	return 0;
}

/* ---- the reader and its model ---- */

struct reading {
	const struct world *x;
	tt_fd *fd;
	tt_reader r;
	size_t at;       /* of the payload: taken so far */
	char *room;      /* of PAYLOAD_MAX */
};

static size_t rest_of(const struct reading *g)
{
	return g->x->len - g->at;
}

static void took(struct reading *g, const char *got, size_t n)
{
	MUST(n <= rest_of(g));
	MUST(n == 0 || memcmp(got, g->x->payload + g->at, n) == 0);
	g->at += n;
}

static size_t held_by(struct reading *g)
{
	char *data;
	size_t held = tt_reader_buffered(&g->r, &data);

	MUST(held <= g->x->reader_cap && held <= rest_of(g));
	MUST(held == 0 || memcmp(data, g->x->payload + g->at, held) == 0);
	return held;
}

static void do_until(struct reading *g, int delim)
{
	const char *want = g->x->payload + g->at, *found = NULL;
	size_t rest = rest_of(g), len = 0;
	char *text = NULL;
	int rc = tt_read_until(&g->r, delim, &text, &len);

	if (rest > 0)
		found = memchr(want, delim, rest < g->x->reader_cap ? rest : g->x->reader_cap);
	if (found != NULL) {
		MUST(rc == 1 && len == (size_t)(found - want) && text[len] == '\0');
		took(g, text, len);
		g->at++;
		return;
	}
	MUST(rc == (rest >= g->x->reader_cap ? TT_ENOBUFS : rest > 0 ? TT_EEOF : 0));
	MUST(held_by(g) == (rest < g->x->reader_cap ? rest : g->x->reader_cap));
}

static void do_read(struct reading *g, size_t n)
{
	size_t rest = rest_of(g);
	int rc = tt_reader_read(&g->r, g->room, n);

	MUST(rc >= 0 && (size_t)rc <= n && (rc > 0 || n == 0 || rest == 0));
	took(g, g->room, (size_t)rc);
}

static void do_read_exact(struct reading *g, size_t n)
{
	size_t rest = rest_of(g), done = SIZE_MAX;
	int rc = tt_reader_read_exact(&g->r, g->room, n, &done);

	MUST(rc == (n <= rest ? 0 : TT_EEOF));
	MUST(done == (n <= rest ? n : rest));
	took(g, g->room, done);
}

static void do_fill(struct reading *g)
{
	size_t before = held_by(g), after;
	int rc = tt_reader_fill(&g->r);

	after = held_by(g);
	MUST((rc == TT_ENOBUFS) == (before == g->x->reader_cap));
	MUST(rc < 0 ? after == before : after == before + (size_t)rc);
	MUST(rc != 0 || before == rest_of(g));
}

static void do_consume(struct reading *g, size_t n)
{
	size_t held = held_by(g);

	n = n < held ? n : held;
	tt_reader_consume(&g->r, n);
	g->at += n;
	MUST(held_by(g) == held - n);
}

static void read_some(struct reading *g, unsigned kind, size_t n)
{
	switch (kind % 6) {
	case 0: do_until(g, '\n'); break;
	case 1: do_until(g, (int)n); break;
	case 2: do_read(g, n); break;
	case 3: do_read_exact(g, n); break;
	case 4: do_fill(g); break;
	default: do_consume(g, n); break;
	}
}

static int reads(struct world *x, tt_fd *fd)
{
	struct reading g = { .x = x, .fd = fd, .room = fuzz_alloc(PAYLOAD_MAX) };
	char *buf = fuzz_alloc(x->reader_cap);
	struct fuzz_input in = x->reads;

	tt_reader_init(&g.r, fd, buf, x->reader_cap);
	for (int i = 0; i < STEPS_MAX && in.left > 0; i++) {
		unsigned kind = fuzz_byte(&in);

		read_some(&g, kind, fuzz_byte(&in));
	}
	while (rest_of(&g) > 0)
		do_read(&g, x->reader_cap);
	MUST(tt_reader_read(&g.r, g.room, 1) == 0);
	free(buf);
	free(g.room);
	return 0;
}

static TT_TASK(both_ends, (struct world *, x))
{
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_fd *ends[2];
	int rc;

	TT_TRY(tt_pair(ends));
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, writes, x, ends[0]);
		rc = reads(x, ends[1]);
		rc = tt_group_end(&g, rc);
	}
	tt_fd_close(ends[1]);
	return rc;
}

/* Every second byte pair is the writer's. */
static void deal(struct fuzz_input *in, struct world *x)
{
	uint8_t *pairs[2] = { fuzz_alloc(in->left + 2), fuzz_alloc(in->left + 2) };
	size_t len[2] = { 0, 0 };

	for (unsigned side = 0; in->left > 0; side ^= 1) {
		pairs[side][len[side]++] = fuzz_byte(in);
		pairs[side][len[side]++] = fuzz_byte(in);
	}
	x->writes = fuzz_input_of(pairs[0], len[0]);
	x->reads = fuzz_input_of(pairs[1], len[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input_of(data, size), payload;
	tt_sim_options o = { .workers = 2 };
	struct world x = { .len = 0 };

	o.seed = fuzz_below(&in, 65536);
	x.reader_cap = 1 + fuzz_below(&in, BUFFER_MAX);
	x.writer_cap = 1 + fuzz_below(&in, BUFFER_MAX);
	payload = fuzz_take(&in, fuzz_below(&in, PAYLOAD_MAX));
	x.len = payload.left;
	x.payload = fuzz_copy(payload.at, payload.left);
	deal(&in, &x);
	MUST(tt_sim_run_with(&o, both_ends, &x) == 0);
	free((void *)(uintptr_t)x.payload);
	free((void *)(uintptr_t)x.writes.at);
	free((void *)(uintptr_t)x.reads.at);
	return 0;
}
