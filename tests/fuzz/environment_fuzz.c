/* SPDX-License-Identifier: MIT */
/*
 * environment_fuzz.c - fuzz target: the TUTTI_ variables that tt_main() reads.
 *
 * Who calls it: see fuzz.h. Each line of the input is one variable: a letter (w, i, s, b, as in
 * `names`) and its value.
 *
 * Claims  Values that a plain reading of runtime.h allows give exactly those options; any other
 *         ends the process with a line that names the variable, and with no undefined step before.
 *         What a program set itself is not looked up.
 */
#include <ctype.h>

#include <tutti/error.h>

#include "fuzz.h"
#include "refused.h"
#include "rt/runtime.h"

enum { WORKERS, IO, STACK, BOUND, NAMES };

static const struct {
	char letter;
	const char *name;
} names[NAMES] = {
	{ 'w', "TUTTI_WORKERS" },
	{ 'i', "TUTTI_IO" },
	{ 's', "TUTTI_STACK" },
	{ 'b', "TUTTI_STOP_BOUND" },
};

/* ---- a plain reading ---- */

/* Digits only, of a value up to max; *ret_rest is what follows them. */
static bool reads_number(const char *text, unsigned long long max, unsigned long long *ret, const char **ret_rest)
{
	unsigned long long n = 0;

	if (!isdigit((unsigned char)*text))
		return false;
	for (; isdigit((unsigned char)*text); text++) {
		n = n * 10 + (unsigned long long)(*text - '0');
		if (n > UINT64_C(1) << 40)
			n = UINT64_C(1) << 40;
	}
	*ret = n;
	*ret_rest = text;
	return n <= max;
}

static bool reads_io(const char *text, enum tt_io *ret)
{
	static const char *const words[] = { "auto", "epoll", "uring" };
	static const enum tt_io kinds[] = { TT_IO_AUTO, TT_IO_EPOLL, TT_IO_URING };

	for (size_t i = 0; i < 3; i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = kinds[i];
			return true;
		}
	}
	return false;
}

static bool reads_stack(const char *text, size_t *ret)
{
	unsigned long long n, unit = 1;
	const char *rest;

	if (!reads_number(text, UINT64_C(8) << 20, &n, &rest))
		return false;
	if (*rest == 'k' || *rest == 'K')
		unit = 1024, rest++;
	else if (*rest == 'm' || *rest == 'M')
		unit = 1024 * 1024, rest++;
	*ret = n * unit;
	return *rest == '\0' && n * unit <= UINT64_C(8) << 20;
}

/* The variable that is wrong, or NULL and what the options are. */
static const char *expect(char *const value[NAMES], tt_main_options *o)
{
	unsigned long long n;
	const char *rest;

	if (value[WORKERS] != NULL) {
		if (!reads_number(value[WORKERS], 1024, &n, &rest) || *rest != '\0')
			return names[WORKERS].name;
		o->workers = (unsigned)n;
	}
	if (value[IO] != NULL && !reads_io(value[IO], &o->io))
		return names[IO].name;
	if (value[STACK] != NULL && !reads_stack(value[STACK], &o->stack_size))
		return names[STACK].name;
	if (value[BOUND] != NULL) {
		if (!reads_number(value[BOUND], 86400000, &n, &rest) || *rest != '\0')
			return names[BOUND].name;
		o->stop_bound = n > 0 ? (int64_t)n * 1000000 : TT_STOP_AT_ONCE;
	}
	return NULL;
}

/* ---- claims ---- */

static void resolve(void *arg)
{
	*(tt_main_options *)arg = tti_options_resolve(NULL);
}

static void check_accepted(const tt_main_options *want)
{
	const tt_main_options own = { .workers = 3, .io = TT_IO_EPOLL, .stack_size = 4096, .stop_bound = 5 };
	tt_main_options got, kept;

	resolve(&got);
	MUST(got.workers == (want->workers != 0 ? want->workers : (unsigned)tt_cpu_count()));
	MUST(got.io == want->io);
	MUST(got.stack_size == want->stack_size);
	MUST(got.stop_bound == (want->stop_bound != 0 ? want->stop_bound : TT_SEC(10)));
	kept = tti_options_resolve(&own);
	MUST(kept.workers == own.workers && kept.io == own.io && kept.stack_size == own.stack_size &&
	     kept.stop_bound == own.stop_bound);
}

static void set_variables(struct fuzz_input *in, char *value[NAMES])
{
	while (in->left > 0) {
		struct fuzz_input line = fuzz_until(in, '\n');
		uint8_t letter = fuzz_byte(&line);

		for (int i = 0; i < NAMES; i++) {
			if (letter != names[i].letter)
				continue;
			free(value[i]);
			value[i] = fuzz_string(line);
		}
	}
	for (int i = 0; i < NAMES; i++) {
		if (value[i] != NULL)
			MUST(setenv(names[i].name, value[i], 1) == 0);
		else
			MUST(unsetenv(names[i].name) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input_of(data, size);
	char *value[NAMES] = { NULL };
	tt_main_options want = { 0 };
	const char *wrong;

	set_variables(&in, value);
	wrong = expect(value, &want);
	if (wrong == NULL)
		check_accepted(&want);
	else if (refused_is_tried(data, size))
		must_be_refused(resolve, &want, wrong);
	for (int i = 0; i < NAMES; i++) {
		unsetenv(names[i].name);
		free(value[i]);
	}
	return 0;
}
