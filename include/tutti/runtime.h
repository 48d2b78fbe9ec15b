/* SPDX-License-Identifier: MIT */
/*
 * runtime.h - starting a program, and what it runs on.
 *
 *	int main(int argc, char **argv)
 *	{
 *		return tt_main(app, argc, argv);
 *	}
 *
 * SIGINT and SIGTERM cancel the root task softly (TT_UNTIL_STOP, tt_stopping(), TT_ON_STOP
 * see it), hard after a bound; a second one takes its default action. SIGPIPE is ignored
 * meanwhile, unless the program has a handler for it. Descriptors 0 to 2 that the program
 * was started without are /dev/null from then on: no report can land in a connection.
 */
#ifndef TUTTI_RUNTIME_H
#define TUTTI_RUNTIME_H

#include <tutti/base.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

enum tt_io {
	TT_IO_AUTO, /* io_uring where it is allowed and new enough, else epoll */
	TT_IO_EPOLL,
	TT_IO_URING /* or fail to start */
};

/* stop_bound: SIGTERM and SIGINT cancel hard at once. */
#define TT_STOP_AT_ONCE (-1)

/* Each field left 0 is taken from the environment, if set there, else the default. */
typedef struct tt_main_options {
	unsigned workers;   /* TUTTI_WORKERS; default: tt_cpu_count() */
	enum tt_io io;      /* TUTTI_IO=auto|epoll|uring */
	size_t stack_size;  /* TUTTI_STACK, bytes or with K or M; default: 64 KiB */
	int64_t stop_bound; /* ns; TUTTI_STOP_BOUND, in ms, 0: at once; default: 10 s */
	bool unguarded;     /* go on without guard pages beyond the number the kernel allows */
} tt_main_options;

TT_API tt_verb_ tt_verb_main_; /* on: a const tt_main_options * or NULL; the exit status */

/*
 * tt_cpu_count - how many CPUs this process may use: affinity and the cgroup's quota count.
 *
 * Blocks     no
 * Returns    at least 1
 * Threads    any
 */
TT_API int tt_cpu_count(void);

/*
 * tt_worker_count - how many workers the runtime runs on.
 *
 * Blocks     no
 * Returns    at least 1; 0 if there is no runtime here
 * Threads    any
 */
TT_API int tt_worker_count(void);

/*
 * tt_worker_index - which worker this task is on; it never changes once the task runs.
 *
 * Blocks     no
 * Returns    from 0; -1 outside of tasks
 * Threads    any
 */
TT_API int tt_worker_index(void);

/*
 * tt_version - the version of the library that is linked.
 *
 * Blocks     no
 * Returns    static text, "0.1.0"
 * Threads    any
 */
TT_API const char *tt_version(void);

TT_END_DECLS

#ifdef __cplusplus
extern "C++" {
static inline void *tt_main_options_check_(const tt_main_options *o)
{
	return const_cast<tt_main_options *>(o);
}
}
#define TT_IS_MAIN_OPTIONS_(o) (tt_main_options_check_(o))
#else
#define TT_IS_MAIN_OPTIONS_(o) \
	((void *)_Generic((o), tt_main_options *: (o), const tt_main_options *: (o)))
#endif

/*
 * tt_main(name, args...) - run the TT_TASK `name` as the root task, until it and all its
 * children have ended.
 *
 * Blocks     the calling thread, which becomes the first worker
 * Returns    the exit status: rc & 0xff for rc >= 0; 1 for a code, with its chain on stderr
 * Threads    a plain thread, one runtime at a time
 */
#define tt_main(...) tt_must_result_(TT_CALL_(tt_verb_main_, NULL, __VA_ARGS__))

/*
 * tt_main_with(&options, name, args...) - the same, with options; those that are set win over
 * the environment.
 *
 * Blocks     the calling thread, which becomes the first worker
 * Returns    as tt_main()
 * Threads    as tt_main()
 */
#define tt_main_with(options, ...) \
	tt_must_result_(TT_CALL_(tt_verb_main_, TT_IS_MAIN_OPTIONS_(options), __VA_ARGS__))

#endif
