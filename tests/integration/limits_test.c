/* SPDX-License-Identifier: MIT */
/* test-on: epoll1 epoll4 */
/* test-labels: wall children */
/*
 * limits_test.c - programs that the system gives little: no descriptors, no threads, no address
 * space, no standard streams. Each works, or says with the code of the refusal what it lacks, and
 * goes on when there is some. Each test makes a process of its own, since a limit is for good; it
 * is run on both drivers. Where no ring is to be had, that half is left out with a note.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#if __has_feature(memory_sanitizer)
#define MEMORY_SANITIZED 1
#endif
#endif

#define WAKES_MAX 20 /* a second, beside those of a second without anything to do */
#define NOBODY 54321

/* What a process of its own tells: the line where it failed first, and figures. */
struct told {
	int line;
	int rc;                  /* the code or the status there */
	long figures[4];
};

static struct told *told;

#define TELL(ok, code) \
	do { \
		if (!(ok) && told->line == 0) { \
			told->line = __LINE__; \
			told->rc = (code); \
		} \
	} while (0)

static enum tt_io chosen;

static bool ring_is_allowed(void)
{
#ifdef MEMORY_SANITIZED
	return false; /* what a ring's completion wrote it takes for never set */
#else
	unsigned char params[120] = { 0 };
	long fd = syscall(SYS_io_uring_setup, 1, params);

	if (fd >= 0)
		close((int)fd);
	return fd >= 0;
#endif
}

static void run_in_process(void (*run)(void))
{
	int status = 0;
	pid_t pid;

	memset(told, 0, sizeof(*told));
	fflush(NULL);
	pid = fork();
	REQUIRE_TRUE(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run();
		_exit(0);
	}
	REQUIRE_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	if (told->line != 0)
		tt_test_note("line %d of the process: %d (%s)", told->line, told->rc, tt_error_name(told->rc));
	EXPECT_EQ(told->line, 0);
}

/* On epoll, and on the ring where there is one. */
static void on_both(void (*run)(void))
{
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE_TRUE(told != MAP_FAILED);
	chosen = TT_IO_EPOLL;
	run_in_process(run);
	chosen = TT_IO_URING;
	if (ring_is_allowed())
		run_in_process(run);
	else
		tt_test_note("no io_uring here: epoll alone");
	munmap(told, sizeof(*told));
}

static tt_main_options options(unsigned workers)
{
	return (tt_main_options){ .workers = workers, .io = chosen };
}

/* ---- descriptors ---- */

static TT_TASK(accept_one, (tt_fd *, listener), (bool *, accepted))
{
	tt_fd *fd;

	TT_TRY(tt_accept(listener, &fd, NULL));
	*accepted = true;
	tt_fd_close(fd);
	return 0;
}

static long sleeps_of_the_process(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_nvcsw;
}

static int64_t processor_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return at.tv_sec * TT_SEC(1) + at.tv_nsec;
}

/* Of a second in which nothing is asked for; a sanitizer's own thread sleeps fifty times. */
static int count_idle(long *ret_sleeps)
{
	long before = sleeps_of_the_process();

	TT_TRY(tt_sleep(TT_SEC(1)));
	*ret_sleeps = sleeps_of_the_process() - before;
	return 0;
}

/* One number for the connection's end here, and after it none. */
static int take_all_numbers(int numbers[64])
{
	int n = 0;

	while (n < 64 && (numbers[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	return n;
}

static TT_TASK(starve_accept)
{
	tt_fd *listener, *client;
	bool accepted = false;
	int numbers[64], n, rc;
	char addr[32];
	int64_t began, used;
	long sleeps, idle;

	TT_TRY(count_idle(&idle));
	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &listener));
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", tt_fd_local_port(listener));
	TT_TRY(tt_tcp_connect(addr, NULL, &client));
	n = take_all_numbers(numbers);
	TELL(n > 8 && n < 64, n);
	TT_GROUP(g);
	tt_go(&g, accept_one, listener, &accepted);
	sleeps = sleeps_of_the_process();
	used = processor_ns();
	TELL(tt_sleep(TT_SEC(1)) == 0, 0);
	told->figures[0] = sleeps_of_the_process() - sleeps - idle;
	told->figures[1] = (long)((processor_ns() - used) / 1000);
	TELL(!accepted, 0);
	while (n > 0)
		close(numbers[--n]);
	began = tt_now();
	rc = tt_group_end(&g, 0);
	told->figures[2] = (long)((tt_now() - began) / 1000);
	TELL(accepted, 0);
	tt_fd_close(client);
	tt_fd_close(listener);
	return rc;
}

static void with_few_descriptors(void)
{
	struct rlimit few = { 64, 64 };
	tt_main_options o = options(tt_test_workers());
	int rc;

	TELL(setrlimit(RLIMIT_NOFILE, &few) == 0, errno);
	rc = tt_main_with(&o, starve_accept);
	TELL(rc == 0, rc);
}

static void starved(void)
{
	with_few_descriptors();
	/* Ten tries a second; the workers that have nothing to do sleep on. */
	TELL(told->figures[0] <= WAKES_MAX, (int)told->figures[0]);
	TELL(told->figures[1] <= 200000, (int)told->figures[1]);
	TELL(told->figures[2] <= 1000000, (int)told->figures[2]);
	tt_test_note("a second without descriptors: %ld wake-ups, %ld us of processor; accepted %ld us after there were some",
	             told->figures[0], told->figures[1], told->figures[2]);
}

/* All 64 descriptors are taken: a server sleeps, all its workers do, and takes the connection
 * within a second after there are some again. */
TT_TEST_PLAIN(limits, accept_without_descriptors_sleeps)
{
	on_both(starved);
}

/* ---- standard streams ---- */

static TT_TASK(echo, (tt_fd *, listener))
{
	char buf[64];
	tt_fd *fd;
	int n;

	TT_TRY(tt_accept(listener, &fd, NULL));
	n = tt_read(fd, buf, sizeof(buf));
	if (n > 0)
		TELL(tt_write_all(fd, buf, (size_t)n, NULL) == 0, 0);
	tt_fd_close(fd);
	return n < 0 ? n : 0;
}

/* A connection gets what was sent through it, whatever the program says on stderr meanwhile. */
static int talk(void)
{
	tt_fd *listener, *client;
	char addr[32], buf[128];
	size_t n = 0;
	int rc;

	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &listener));
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", tt_fd_local_port(listener));
	TT_GROUP(g);
	tt_go(&g, echo, listener);
	TT_TRY_IN(&g, tt_tcp_connect(addr, NULL, &client));
	/* As the library does when it has something to report. */
	fprintf(stderr, "tutti: a report\n");
	TT_TRY_IN(&g, tt_write_all(client, "question", 8, NULL));
	TT_TRY_IN(&g, tt_fd_shutdown(client, SHUT_WR));
	while ((rc = tt_read(client, buf + n, sizeof(buf) - n)) > 0)
		n += (size_t)rc;
	TELL(rc == 0, rc);
	TELL(n == 8 && memcmp(buf, "question", 8) == 0, (int)n);
	tt_fd_close(client);
	tt_fd_close(listener);
	return tt_group_end(&g, 0);
}

/* Neither a connection's number nor one of the runtime's own. */
static bool is_null_device(int number)
{
	struct stat st, null;

	return fstat(number, &st) == 0 && stat("/dev/null", &null) == 0 && st.st_rdev == null.st_rdev;
}

static TT_TASK(without_streams)
{
	static const char *const argv[] = { "/bin/sh", "-c", "cat; echo said >&2", NULL };
	tt_process_options o = { .argv = argv };
	char out[16], err[16];
	tt_process_io io = { .input = "fed", .input_n = 3, .out = out, .out_max = sizeof(out), .err = err,
		             .err_max = sizeof(err) };
	int status = -1;

	for (int i = 0; i < 3; i++)
		TELL(is_null_device(i), i);
	TT_TRY(talk());
	TT_TRY(tt_process_run(&o, &io, &status));
	TELL(status == 0, status);
	TELL(io.out_n == 3 && memcmp(out, "fed", 3) == 0, (int)io.out_n);
	TELL(io.err_n == 5 && memcmp(err, "said\n", 5) == 0, (int)io.err_n);
	return 0;
}

static void streams_closed(void)
{
	tt_main_options o = options(tt_test_workers());
	int rc;

	for (int i = 0; i < 3; i++)
		close(i);
	rc = tt_main_with(&o, without_streams);
	TELL(rc == 0, rc);
}

/* Started with descriptors 0 to 2 closed, a program serves and runs children as ever, and no
 * report goes into a connection. */
TT_TEST_PLAIN(limits, standard_streams_that_are_closed)
{
	on_both(streams_closed);
}

/* ---- threads ---- */

static TT_TASK(seven)
{
	return 7;
}

static TT_TASK(child_of_one, (int *, ran))
{
	(*ran)++;
	return tt_yield();
}

static int hundred_children(int *ran)
{
	TT_GROUP(g);
	for (int i = 0; i < 100; i++)
		tt_go(&g, child_of_one, ran);
	return tt_group_end(&g, 0);
}

static TT_TASK(with_one_thread)
{
	int ran = 0, rc;

	TT_TRY(hundred_children(&ran));
	TELL(ran == 100, ran);
	TT_TRY(talk());
	rc = tt_blocking(seven);
	TELL(rc == TT_EAGAIN, rc);
	return 0;
}

static void threads_refused(void)
{
	struct rlimit none = { 0, 0 };
	tt_main_options one = options(1), four = options(4);
	int rc, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	TELL(setgid(NOBODY) == 0 && setuid(NOBODY) == 0, errno);
	TELL(setrlimit(RLIMIT_NPROC, &none) == 0, errno);
	rc = tt_main_with(&one, with_one_thread);
	TELL(rc == 0, rc);
	/* It says so on stderr, which is not for the log of a test that passes. */
	TELL(dup2(null, 2) == 2, errno);
	rc = tt_main_with(&four, seven);
	TELL(rc == 1, rc);
}

/* No thread is to be had: one worker works, without a pool, and four do not start. */
TT_TEST_PLAIN(limits, threads_that_are_refused)
{
	if (getuid() != 0)
		tt_test_skip("only root can become a user who has no processes");
	on_both(threads_refused);
}

/* ---- address space ---- */

static TT_TASK(hold_a_stack, (tt_notify *, all), (int *, holding))
{
	(*holding)++;
	return tt_notify_wait(all);
}

/* Tasks with stacks of 8 MiB, until there is no room for one. */
static TT_TASK(fill_address_space)
{
	tt_group_options all_run = { .policy = TT_COLLECT_ALL };
	tt_child_options large = { .stack_size = 8 << 20 };
	int holding = 0, rc;
	tt_notify all;

	tt_notify_init(&all);
	TT_GROUP_WITH(g, &all_run);
	for (int i = 0; i < 100; i++)
		tt_go_with(&g, &large, hold_a_stack, &all, &holding);
	TELL(tt_sleep(TT_MS(50)) == 0, 0);
	told->figures[0] = holding;
	TELL(holding > 4 && holding < 100, holding);
	/* Whoever has a stack goes on. */
	rc = talk();
	TELL(rc == 0, rc);
	tt_notify_all(&all);
	rc = tt_group_end(&g, 0);
	TELL(rc == TT_ENOMEM, rc);
	tt_notify_fini(&all);
	return 0;
}

static long address_space(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f != NULL) {
		TELL(fscanf(f, "%ld", &pages) == 1, 0);
		fclose(f);
	}
	return pages * sysconf(_SC_PAGESIZE);
}

static void space_refused(void)
{
	tt_main_options o = options(1);
	rlim_t room = (rlim_t)address_space() + (256u << 20);
	struct rlimit limit = { room, room };
	int rc;

	TELL(setrlimit(RLIMIT_AS, &limit) == 0, errno);
	rc = tt_main_with(&o, fill_address_space);
	TELL(rc == 0, rc);
	rc = tt_main_with(&o, seven);
	TELL(rc == 7, rc);
	tt_test_note("%ld stacks of 8 MiB in 256 MiB", told->figures[0]);
}

/* A task for whose stack there is no room ends with -ENOMEM; those that have one go on. */
TT_TEST_PLAIN(limits, address_space_that_ends)
{
#ifdef SANITIZED
	tt_test_skip("a sanitizer needs all address space for itself");
#endif
	on_both(space_refused);
}
