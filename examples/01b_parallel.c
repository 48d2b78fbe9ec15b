/* SPDX-License-Identifier: MIT */
/*
 * 01b_parallel.c - computing on all processors from a task: a loop, a reduction, a sort, and
 * two calls at once that fork further.
 *
 * Each call is a region: all of it has ended when the call returns, so everything here lives
 * on the stack. A body that fails stops the others; so does a timeout around the call.
 */
#include <stdio.h>
#include <tutti/tutti.h>

enum { COUNT = 10000 };

struct word {
	int length, number;
};

TT_SORT(by_length, struct word, a, b, a->length < b->length);

/* A part of a loop: the items from first to end. */
TT_TASK(make_words, (size_t, first), (size_t, end), (struct word *, words))
{
	for (size_t i = first; i < end; i++)
		words[i] = (struct word){ .length = (int)(i * 7919 % 100), .number = (int)i };
	return 0;
}

TT_TASK(add_lengths, (size_t, first), (size_t, end), (long *, sum), (const struct word *, words))
{
	for (size_t i = first; i < end; i++)
		*sum += words[i].length;
	return 0;
}

TT_TASK(add_sums, (long *, left), (long *, right))
{
	*left += *right;
	return 0;
}

/* The longest of n words, by halves. */
TT_TASK_DECLARE(longest, (const struct word *, words), (size_t, n), (int *, ret));

int longest(const struct word *words, size_t n, int *ret)
{
	int a = 0, b = 0;

	if (n == 1) {
		*ret = words->length;
		return 0;
	}
	TT_TRY(tt_fork2((longest, words, n / 2, &a), (longest, words + n / 2, n - n / 2, &b)));
	*ret = a > b ? a : b;
	return 0;
}

TT_TASK(refuse, (size_t, first), (size_t, end), (size_t, bad))
{
	if (first <= bad && bad < end)
		return tt_fail(TT_ERANGE, "word %zu is not a word", bad);
	return 0;
}

/* Never done, but a body that looks hears of the end. */
TT_TASK(for_ever, (size_t, first), (size_t, end))
{
	(void)first;
	(void)end;
	for (;;)
		TT_TRY(tt_checkpoint());
}

TT_TASK(app)
{
	static struct word words[COUNT];
	long sum = 0;
	int most = 0, rc;

	TT_TRY(tt_par_for(COUNT, make_words, words));
	TT_TRY(tt_par_reduce(COUNT, &sum, (add_lengths, words), (add_sums)));
	TT_TRY(tt_fork2((longest, words, COUNT / 2, &most), (longest, words + COUNT / 2, COUNT / 2, &rc)));
	TT_TRY(tt_par_sort_stable(by_length, words, COUNT));
	printf("%ld letters, at most %d in a word; the first word is number %d\n", sum, most, words[0].number);

	rc = tt_par_for(COUNT, refuse, 1234);
	if (rc == TT_ERANGE)
		printf("failed: %s\n", tt_error_name(rc));
	rc = TT_WITHIN(TT_MS(5), tt_par_for(COUNT, for_ever));
	if (rc == TT_ETIMEDOUT)
		printf("cut short: %s\n", tt_error_name(rc));
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

int main(void)
{
	return tt_main(app);
}
