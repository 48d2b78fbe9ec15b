/* SPDX-License-Identifier: MIT */
/*
 * failure_env_test.c - how many processors this process may use, on machines that it is not
 * on: affinity masks and control groups of both versions, whole and broken.
 *
 * test-on: sim1
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "env/env.h"

struct file {
	const char *path, *text;             /* text NULL: it can be opened, not read */
};

/* The machine that the calls see. */
static struct machine {
	int cpus;                            /* in the mask; -1: the call fails */
	struct file files[8];
} machine;

#define FIRST_NUMBER 100

static long fake_open(const char *path)
{
	for (int i = 0; i < 8 && machine.files[i].path != NULL; i++)
		if (strcmp(machine.files[i].path, path) == 0)
			return FIRST_NUMBER + i;
	return -ENOENT;
}

static long fake_read(long fd, char *buf, size_t n)
{
	const char *text = machine.files[fd - FIRST_NUMBER].text;

	if (text == NULL)
		return -EIO;
	REQUIRE_LT(strlen(text), n);
	memcpy(buf, text, strlen(text));
	return (long)strlen(text);
}

static long fake_affinity(cpu_set_t *set)
{
	if (machine.cpus < 0)
		return -EPERM;
	CPU_ZERO(set);
	for (size_t i = 0; i < (size_t)machine.cpus; i++)
		CPU_SET(2 * i, set);
	return (long)sizeof(*set);
}

static long fake_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	(void)d;
	(void)e;
	(void)f;
	switch (nr) {
	case SYS_sched_getaffinity:
		return fake_affinity((cpu_set_t *)c);
	case SYS_openat:
		return fake_open((const char *)b);
	case SYS_read:
		return fake_read(a, (char *)b, (size_t)c);
	case SYS_close:
		return 0;
	default:
		return -ENOSYS;
	}
}

static unsigned count_on(const struct machine *m)
{
	struct tti_env_ops ops = tti_env_real;
	const struct tti_env_ops *before;
	unsigned n;

	machine = *m;
	ops.syscall = fake_syscall;
	before = tti_env_bind(&ops);
	n = tti_env_cpu_count();
	tti_env_bind(before);
	return n;
}

#define ON(...) count_on(&(struct machine){ __VA_ARGS__ })
#define OWN_GROUP "/proc/self/cgroup"

TT_TEST_PLAIN(cpus, the_mask_counts)
{
	EXPECT_EQ(ON(.cpus = 6), 6u);
	EXPECT_EQ(ON(.cpus = -1), 1u);
	EXPECT_EQ(ON(.cpus = 0), 1u);
}

/* Version 2: quota and period in one file, rounded up. */
TT_TEST_PLAIN(cpus, a_quota_bounds)
{
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "0::/app\n" }, { "/sys/fs/cgroup/app/cpu.max", "150000 100000\n" } }), 2u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "0::/app\n" }, { "/sys/fs/cgroup/app/cpu.max", "max 100000\n" } }), 8u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "0::/app\n" }, { "/sys/fs/cgroup/app/cpu.max", "100000 0\n" } }), 8u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "0::/app\n" }, { "/sys/fs/cgroup/app/cpu.max", NULL } }), 8u);
	EXPECT_EQ(ON(.cpus = 2, .files = { { OWN_GROUP, "0::/app\n" }, { "/sys/fs/cgroup/app/cpu.max", "900000 100000\n" } }), 2u);
}

/* Inside a container the file of the group may be at the top; the smaller bound counts. */
TT_TEST_PLAIN(cpus, the_smaller_quota_counts)
{
	EXPECT_EQ(ON(.cpus = 8, .files = { { "/sys/fs/cgroup/cpu.max", "300000 100000" } }), 3u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "0::/\n" }, { "/sys/fs/cgroup/cpu.max", "300000 100000" } }), 3u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "0::/a\n" },
	                                   { "/sys/fs/cgroup/cpu.max", "300000 100000" },
	                                   { "/sys/fs/cgroup/a/cpu.max", "200000 100000" } }), 2u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "0::/a\n" },
	                                   { "/sys/fs/cgroup/cpu.max", "200000 100000" },
	                                   { "/sys/fs/cgroup/a/cpu.max", "300000 100000" } }), 2u);
}

/* Version 1: two files, below the controller's own folder. */
TT_TEST_PLAIN(cpus, a_quota_of_version_1)
{
	static const char quota[] = "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", period[] = "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us";

	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "7:memory:/x\n4:cpu,cpuacct:/x\n" }, { quota, "350000" }, { period, "100000" } }), 4u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "4:cpu:/x\n" }, { quota, "50000" }, { period, "100000" } }), 1u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "4:cpu:/x\n" }, { quota, "-1" }, { period, "100000" } }), 8u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "4:cpu:/x\n" }, { quota, "50000" }, { period, "0" } }), 8u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "4:cpuset:/x\n" }, { quota, "50000" }, { period, "100000" } }), 8u);
}

TT_TEST_PLAIN(cpus, nonsense_bounds_nothing)
{
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "\n\nno colon\none:colon\n" } }), 8u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, NULL } }), 8u);
	EXPECT_EQ(ON(.cpus = 8, .files = { { OWN_GROUP, "" } }), 8u);
}

/* ---- memory ---- */

static long odd_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	if (nr == SYS_mmap)
		return -ENOMEM;
	return tti_env_real.syscall(nr, a, b, c, d, e, f);
}

TT_TEST_PLAIN(memory, what_is_refused_is_none)
{
	struct tti_env_ops ops = tti_env_real;
	const struct tti_env_ops *before;

	ops.syscall = odd_syscall;
	before = tti_env_bind(&ops);
	EXPECT_TRUE(tti_env_map(4096) == NULL);
	tti_env_bind(before);
}

TT_TEST_MAIN()
