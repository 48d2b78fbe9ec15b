/* SPDX-License-Identifier: MIT */
/*
 * sort.h - sorting on all processors, with the comparison compiled into the sort.
 *
 *	TT_SORT(by_age, struct person, a, b, a->age < b->age);
 *
 *	TT_TRY(tt_par_sort(by_age, people, n));
 *
 * Unstable    Quicksort with a branchless partition where items are small, after Peters,
 *             "Pattern-defeating Quicksort": equal items cost one pass, sorted and reversed
 *             input is found by one look, and a bad run of pivots ends in a heap sort, so the
 *             time is O(n log n) whatever the input. In place.
 * Stable      Merge sort, whose merges are halved for idle threads as well. Twice the items'
 *             memory; they are written only at the end.
 * Integers    tt_par_sort_u64() and its like deal the keys into buckets by their highest
 *             differing bits first.
 * Rejected    A comparator by pointer, as qsort's: three times the time.
 */
#ifndef TUTTI_SORT_H
#define TUTTI_SORT_H

#include <string.h>

#include <tutti/base.h>
#include <tutti/task.h>

/*
 * TT_SORT(name, type, a, b, less); - define, at file scope, how to sort items of `type`: `less`
 * is an expression over `const type *a` and `const type *b`, true when *a comes before *b.
 * It is a strict order; one that is not gives some order, and nothing worse.
 */
#define TT_SORT(name, T, a, b, ...) \
	TT_UNUSED static inline bool tt_less_##name##_(const T *a, const T *b) \
	{ \
		return (__VA_ARGS__); \
	} \
	TT_SORT_SMALL_(name, T) \
	TT_SORT_HEAP_(name, T) \
	TT_SORT_PARTITION_(name, T) \
	TT_SORT_QUICK_(name, T) \
	TT_SORT_MERGE_(name, T) \
	struct tt_sort_##name##_

/*
 * tt_par_sort(name, items, n) - sort in place, on all processors. Equal items may change
 * places. `name` is a TT_SORT.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; the items are all there, in some order
 * Errors     -ENOMEM, -EAGAIN: no thread could be had
 * Threads    any task, and inside any region
 */
#define tt_par_sort(name, items, n) \
	tt_must_result_(TT_CALL_(tt_verb_par_run_, TT_SORT_CALL_("tt_par_sort"), tt_sort_all_##name##_, items, n))

/*
 * tt_par_sort_stable(name, items, n) - the same, and equal items keep their order.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; the items are as they were
 * Errors     -ENOMEM: no memory for copies of the items; -EAGAIN
 * Threads    any task, and inside any region
 */
#define tt_par_sort_stable(name, items, n) \
	tt_must_result_(TT_CALL_(tt_verb_par_run_, TT_SORT_CALL_("tt_par_sort_stable"), \
	                         tt_stable_all_##name##_, items, n))

TT_BEGIN_DECLS

/*
 * tt_par_sort_u64, tt_par_sort_i64, tt_par_sort_u32, tt_par_sort_i32 - sort integers upwards, in
 * place, on all processors. Memory for as many more makes it faster and is not needed.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; the items are all there, in some order
 * Errors     -ENOMEM, -EAGAIN: no thread could be had
 * Threads    any task, and inside any region
 */
TT_API TT_MUST_USE int tt_par_sort_u64(uint64_t *items, size_t n);
TT_API TT_MUST_USE int tt_par_sort_i64(int64_t *items, size_t n);
TT_API TT_MUST_USE int tt_par_sort_u32(uint32_t *items, size_t n);
TT_API TT_MUST_USE int tt_par_sort_i32(int32_t *items, size_t n);

/* ---- seams of the macros: nothing below is for users ---- */

/* on: the name of the call. Runs the function as a region. */
TT_API tt_verb_ tt_verb_par_run_;
/* Memory for a sort; NULL when there is none. */
TT_API void *tt_sort_alloc_(size_t n, size_t size);
TT_API void tt_sort_free_(void *p);

TT_END_DECLS

#define TT_SORT_CALL_(text) ((void *)(uintptr_t)(text))

/* Insertion sorts up to SMALL; forks above FORK; sequential merges up to MERGE. */
#define TT_SORT_SMALL_MAX_ 20
#define TT_SORT_FORK_MIN_ 512
#define TT_SORT_MERGE_MAX_ 4096

#define TT_SORT_SMALL_(name, T) \
	TT_UNUSED static inline void tt_swap_##name##_(T *tt_x_, T *tt_y_) \
	{ \
		T tt_kept_ = *tt_x_; \
		*tt_x_ = *tt_y_; \
		*tt_y_ = tt_kept_; \
	} \
	TT_UNUSED static void tt_small_##name##_(T *tt_items_, size_t tt_n_) \
	{ \
		for (size_t tt_i_ = 1; tt_i_ < tt_n_; tt_i_++) { \
			T tt_kept_ = tt_items_[tt_i_]; \
			size_t tt_at_ = tt_i_; \
			while (tt_at_ > 0 && tt_less_##name##_(&tt_kept_, &tt_items_[tt_at_ - 1])) { \
				tt_items_[tt_at_] = tt_items_[tt_at_ - 1]; \
				tt_at_--; \
			} \
			tt_items_[tt_at_] = tt_kept_; \
		} \
	}

#define TT_SORT_HEAP_(name, T) \
	TT_UNUSED static void tt_sift_##name##_(T *tt_items_, size_t tt_n_, size_t tt_at_) \
	{ \
		for (size_t tt_child_; (tt_child_ = 2 * tt_at_ + 1) < tt_n_; tt_at_ = tt_child_) { \
			if (tt_child_ + 1 < tt_n_ && \
			    tt_less_##name##_(&tt_items_[tt_child_], &tt_items_[tt_child_ + 1])) \
				tt_child_++; \
			if (!tt_less_##name##_(&tt_items_[tt_at_], &tt_items_[tt_child_])) \
				return; \
			tt_swap_##name##_(&tt_items_[tt_at_], &tt_items_[tt_child_]); \
		} \
	} \
	TT_UNUSED static void tt_heap_##name##_(T *tt_items_, size_t tt_n_) \
	{ \
		for (size_t tt_i_ = tt_n_ / 2; tt_i_-- > 0;) \
			tt_sift_##name##_(tt_items_, tt_n_, tt_i_); \
		while (tt_n_-- > 1) { \
			tt_swap_##name##_(&tt_items_[0], &tt_items_[tt_n_]); \
			tt_sift_##name##_(tt_items_, tt_n_, 0); \
		} \
	}

/*
 * The pivot is items[0]. Returns where it ends up: what is before it comes before the pivot
 * (or, for _equal, does not come after it), and nothing behind it does. A small item is moved at
 * each step whether or not it is on the wrong side: no branch to mispredict.
 */
#define TT_SORT_PARTITION_(name, T) \
	TT_UNUSED static inline __attribute__((__always_inline__)) size_t tt_deal_##name##_( \
		T *tt_items_, size_t tt_n_, bool tt_equal_) \
	{ \
		T tt_pivot_ = tt_items_[0]; \
		size_t tt_lower_ = 0; \
		for (size_t tt_i_ = 1; tt_i_ < tt_n_; tt_i_++) { \
			bool tt_is_ = tt_equal_ ? !tt_less_##name##_(&tt_pivot_, &tt_items_[tt_i_]) \
			                        : tt_less_##name##_(&tt_items_[tt_i_], &tt_pivot_); \
			if (sizeof(T) <= 16) { \
				T tt_kept_ = tt_items_[tt_i_]; \
				tt_items_[tt_i_] = tt_items_[tt_lower_ + 1]; \
				tt_items_[tt_lower_ + 1] = tt_kept_; \
				tt_lower_ += tt_is_; \
			} else if (tt_is_) { \
				tt_lower_++; \
				if (tt_lower_ != tt_i_) \
					tt_swap_##name##_(&tt_items_[tt_i_], &tt_items_[tt_lower_]); \
			} \
		} \
		tt_items_[0] = tt_items_[tt_lower_]; \
		tt_items_[tt_lower_] = tt_pivot_; \
		return tt_lower_; \
	} \
	TT_UNUSED static size_t tt_partition_##name##_(T *tt_items_, size_t tt_n_) \
	{ \
		return tt_deal_##name##_(tt_items_, tt_n_, false); \
	} \
	TT_UNUSED static size_t tt_partition_equal_##name##_(T *tt_items_, size_t tt_n_) \
	{ \
		return tt_deal_##name##_(tt_items_, tt_n_, true); \
	} \
	TT_UNUSED static size_t tt_median_##name##_(const T *tt_items_, size_t tt_x_, size_t tt_y_, \
	                                            size_t tt_z_) \
	{ \
		if (tt_less_##name##_(&tt_items_[tt_y_], &tt_items_[tt_x_])) { \
			size_t tt_kept_ = tt_x_; \
			tt_x_ = tt_y_; \
			tt_y_ = tt_kept_; \
		} \
		if (!tt_less_##name##_(&tt_items_[tt_z_], &tt_items_[tt_y_])) \
			return tt_y_; \
		return tt_less_##name##_(&tt_items_[tt_z_], &tt_items_[tt_x_]) ? tt_x_ : tt_z_; \
	} \
	TT_UNUSED static void tt_pivot_##name##_(T *tt_items_, size_t tt_n_) \
	{ \
		size_t tt_step_ = tt_n_ / 8, tt_m_ = tt_n_ / 2; \
		if (tt_n_ >= 128) \
			tt_m_ = tt_median_##name##_( \
				tt_items_, tt_median_##name##_(tt_items_, 0, tt_step_, 2 * tt_step_), \
				tt_median_##name##_(tt_items_, tt_m_ - tt_step_, tt_m_, tt_m_ + tt_step_), \
				tt_median_##name##_(tt_items_, tt_n_ - 1 - 2 * tt_step_, \
			                            tt_n_ - 1 - tt_step_, tt_n_ - 1)); \
		else \
			tt_m_ = tt_median_##name##_(tt_items_, 0, tt_m_, tt_n_ - 1); \
		tt_swap_##name##_(&tt_items_[0], &tt_items_[tt_m_]); \
	}

/*
 * before: an item that nothing here comes before, NULL when there is none; when the pivot is
 * equal to it, so is everything in the lower part, and that is done. bad: how many lopsided
 * partitions are still put up with.
 */
#define TT_SORT_QUICK_(name, T) \
	TT_UNUSED static TT_TASK_DECLARE(tt_quick_##name##_, (T *, tt_items_), (size_t, tt_n_), \
	                                 (const T *, tt_before_), (unsigned, tt_bad_)); \
	TT_UNUSED static void tt_stir_##name##_(T *tt_items_, size_t tt_n_) \
	{ \
		size_t tt_q_ = tt_n_ / 4; \
		for (size_t tt_i_ = 0; tt_i_ < 3 && tt_q_ > 4; tt_i_++) { \
			tt_swap_##name##_(&tt_items_[tt_i_], &tt_items_[tt_q_ + tt_i_]); \
			tt_swap_##name##_(&tt_items_[tt_n_ - 1 - tt_i_], &tt_items_[tt_n_ - tt_q_ - tt_i_]); \
			tt_swap_##name##_(&tt_items_[tt_n_ / 2 - tt_i_], &tt_items_[tt_q_ * 2 / 3 + tt_i_]); \
		} \
	} \
	TT_UNUSED static int tt_quick_##name##_(T *tt_items_, size_t tt_n_, const T *tt_before_, \
	                                        unsigned tt_bad_) \
	{ \
		while (tt_n_ > TT_SORT_SMALL_MAX_) { \
			size_t tt_at_, tt_upper_; \
			if (tt_bad_ == 0) { \
				tt_heap_##name##_(tt_items_, tt_n_); \
				return 0; \
			} \
			tt_pivot_##name##_(tt_items_, tt_n_); \
			if (tt_before_ != NULL && !tt_less_##name##_(tt_before_, &tt_items_[0])) { \
				tt_at_ = tt_partition_equal_##name##_(tt_items_, tt_n_) + 1; \
				tt_items_ += tt_at_; \
				tt_n_ -= tt_at_; \
				tt_before_ = tt_items_ - 1; \
				continue; \
			} \
			tt_at_ = tt_partition_##name##_(tt_items_, tt_n_); \
			tt_upper_ = tt_n_ - tt_at_ - 1; \
			if (tt_at_ < tt_n_ / 8 || tt_upper_ < tt_n_ / 8) { \
				tt_bad_--; \
				tt_stir_##name##_(tt_items_, tt_at_); \
				tt_stir_##name##_(tt_items_ + tt_at_ + 1, tt_upper_); \
			} \
			if (tt_n_ >= TT_SORT_FORK_MIN_) \
				return tt_fork2( \
					(tt_quick_##name##_, tt_items_, tt_at_, tt_before_, tt_bad_), \
					(tt_quick_##name##_, tt_items_ + tt_at_ + 1, tt_upper_, \
				         tt_items_ + tt_at_, tt_bad_)); \
			/* It is too small to fork, so it cannot fail. */ \
			TT_IGNORE(tt_quick_##name##_(tt_items_, tt_at_, tt_before_, tt_bad_)); \
			tt_before_ = tt_items_ + tt_at_; \
			tt_items_ += tt_at_ + 1; \
			tt_n_ = tt_upper_; \
		} \
		tt_small_##name##_(tt_items_, tt_n_); \
		return 0; \
	} \
	TT_UNUSED static bool tt_is_run_##name##_(T *tt_items_, size_t tt_n_) \
	{ \
		size_t tt_i_ = 1; \
		while (tt_i_ < tt_n_ && !tt_less_##name##_(&tt_items_[tt_i_], &tt_items_[tt_i_ - 1])) \
			tt_i_++; \
		if (tt_i_ >= tt_n_) \
			return true; \
		for (tt_i_ = 1; tt_i_ < tt_n_; tt_i_++) \
			if (!tt_less_##name##_(&tt_items_[tt_i_], &tt_items_[tt_i_ - 1])) \
				return false; \
		for (tt_i_ = 0; tt_i_ < tt_n_ / 2; tt_i_++) \
			tt_swap_##name##_(&tt_items_[tt_i_], &tt_items_[tt_n_ - 1 - tt_i_]); \
		return true; \
	} \
	TT_UNUSED static TT_TASK(tt_sort_all_##name##_, (T *, tt_items_), (size_t, tt_n_)) \
	{ \
		unsigned tt_bad_ = 2; \
		for (size_t tt_left_ = tt_n_; tt_left_ > 0; tt_left_ /= 2) \
			tt_bad_++; \
		if (tt_is_run_##name##_(tt_items_, tt_n_)) \
			return 0; \
		return tt_quick_##name##_(tt_items_, tt_n_, NULL, tt_bad_); \
	}

/*
 * merge: a before b where neither comes before the other. halves: a stretch is cut where an item
 * of the longer run would go in the other one, so that equal items stay in order.
 * msort: leaves the sorted items in x or, for into_y, in y; the other one is room.
 */
#define TT_SORT_MERGE_(name, T) \
	TT_UNUSED static void tt_merge_##name##_(const T *tt_a_, size_t tt_na_, const T *tt_b_, \
	                                         size_t tt_nb_, T *tt_out_) \
	{ \
		while (tt_na_ > 0 && tt_nb_ > 0) { \
			bool tt_is_b_ = tt_less_##name##_(tt_b_, tt_a_); \
			*tt_out_++ = tt_is_b_ ? *tt_b_ : *tt_a_; \
			tt_b_ += tt_is_b_; \
			tt_nb_ -= tt_is_b_; \
			tt_a_ += !tt_is_b_; \
			tt_na_ -= !tt_is_b_; \
		} \
		for (; tt_na_ > 0; tt_na_--) \
			*tt_out_++ = *tt_a_++; \
		for (; tt_nb_ > 0; tt_nb_--) \
			*tt_out_++ = *tt_b_++; \
	} \
	/* How many of the run come before key; with_equal: or are its equals. */ \
	TT_UNUSED static size_t tt_rank_##name##_(const T *tt_run_, size_t tt_n_, const T *tt_key_, \
	                                          bool tt_with_equal_) \
	{ \
		size_t tt_from_ = 0; \
		while (tt_n_ > 0) { \
			size_t tt_half_ = tt_n_ / 2; \
			const T *tt_at_ = &tt_run_[tt_from_ + tt_half_]; \
			if (tt_with_equal_ ? !tt_less_##name##_(tt_key_, tt_at_) \
			                   : tt_less_##name##_(tt_at_, tt_key_)) { \
				tt_from_ += tt_half_ + 1; \
				tt_n_ -= tt_half_ + 1; \
			} else { \
				tt_n_ = tt_half_; \
			} \
		} \
		return tt_from_; \
	} \
	TT_UNUSED static TT_TASK_DECLARE(tt_merge_halves_##name##_, (const T *, tt_a_), \
	                                 (size_t, tt_na_), (const T *, tt_b_), (size_t, tt_nb_), \
	                                 (T *, tt_out_)); \
	TT_UNUSED static int tt_merge_halves_##name##_(const T *tt_a_, size_t tt_na_, const T *tt_b_, \
	                                               size_t tt_nb_, T *tt_out_) \
	{ \
		size_t tt_ma_ = tt_na_ / 2, tt_mb_ = tt_nb_ / 2; \
		if (tt_na_ + tt_nb_ <= TT_SORT_MERGE_MAX_) { \
			tt_merge_##name##_(tt_a_, tt_na_, tt_b_, tt_nb_, tt_out_); \
			return 0; \
		} \
		if (tt_na_ >= tt_nb_) \
			tt_mb_ = tt_rank_##name##_(tt_b_, tt_nb_, &tt_a_[tt_ma_], false); \
		else \
			tt_ma_ = tt_rank_##name##_(tt_a_, tt_na_, &tt_b_[tt_mb_], true); \
		return tt_fork2((tt_merge_halves_##name##_, tt_a_, tt_ma_, tt_b_, tt_mb_, tt_out_), \
		                (tt_merge_halves_##name##_, tt_a_ + tt_ma_, tt_na_ - tt_ma_, \
		                 tt_b_ + tt_mb_, tt_nb_ - tt_mb_, tt_out_ + tt_ma_ + tt_mb_)); \
	} \
	TT_UNUSED static TT_TASK_DECLARE(tt_msort_##name##_, (T *, tt_x_), (T *, tt_y_), \
	                                 (size_t, tt_n_), (bool, tt_into_y_)); \
	TT_UNUSED static int tt_msort_##name##_(T *tt_x_, T *tt_y_, size_t tt_n_, bool tt_into_y_) \
	{ \
		T *tt_from_ = tt_into_y_ ? tt_x_ : tt_y_, *tt_to_ = tt_into_y_ ? tt_y_ : tt_x_; \
		size_t tt_half_ = tt_n_ / 2; \
		if (tt_n_ <= TT_SORT_SMALL_MAX_) { \
			tt_small_##name##_(tt_x_, tt_n_); \
			if (tt_into_y_) \
				memcpy(tt_y_, tt_x_, tt_n_ * sizeof(T)); \
			return 0; \
		} \
		TT_TRY_PLAIN_(tt_fork2((tt_msort_##name##_, tt_x_, tt_y_, tt_half_, !tt_into_y_), \
		                       (tt_msort_##name##_, tt_x_ + tt_half_, tt_y_ + tt_half_, \
		                        tt_n_ - tt_half_, !tt_into_y_))); \
		return tt_merge_halves_##name##_(tt_from_, tt_half_, tt_from_ + tt_half_, \
		                                 tt_n_ - tt_half_, tt_to_); \
	} \
	TT_UNUSED static TT_TASK(tt_stable_all_##name##_, (T *, tt_items_), (size_t, tt_n_)) \
	{ \
		T *tt_x_, *tt_y_; \
		int tt_rc_; \
		if (tt_n_ < 2) \
			return 0; \
		tt_x_ = (T *)tt_sort_alloc_(tt_n_, sizeof(T)); \
		tt_y_ = (T *)tt_sort_alloc_(tt_n_, sizeof(T)); \
		tt_rc_ = tt_x_ != NULL && tt_y_ != NULL ? 0 : TT_ENOMEM; \
		if (tt_rc_ == 0) { \
			memcpy(tt_x_, tt_items_, tt_n_ * sizeof(T)); \
			tt_rc_ = tt_msort_##name##_(tt_x_, tt_y_, tt_n_, true); \
		} \
		if (tt_rc_ == 0) \
			memcpy(tt_items_, tt_y_, tt_n_ * sizeof(T)); \
		tt_sort_free_(tt_x_); \
		tt_sort_free_(tt_y_); \
		return tt_rc_; \
	}

#define TT_TRY_PLAIN_(expr) \
	do { \
		int tt_code_ = (expr); \
		if (tt_code_ < 0) \
			return tt_code_; \
	} while (0)

#endif
