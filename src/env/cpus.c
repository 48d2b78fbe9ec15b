/* SPDX-License-Identifier: MIT */
/*
 * cpus.c - how many processors this process may use: its affinity mask, bounded by the
 * quota of its control group. Called once, when a runtime starts.
 *
 * A container with a quota of two processors on a machine of 64 wants two workers: more
 * would only take turns being throttled.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "env/env.h"

static unsigned affinity_count(void)
{
	cpu_set_t set;
	int n;

	CPU_ZERO(&set);
	if (tti_env_syscall(SYS_sched_getaffinity, 0, sizeof(set), (long)&set, 0, 0, 0) < 0)
		return 1;
	n = CPU_COUNT(&set);
	return n > 0 ? (unsigned)n : 1;
}

/* The first bytes of a file as text; false when it cannot be read. */
static bool read_text(const char *path, char *buf, size_t size)
{
	long fd = tti_env_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0), n;

	if (fd < 0)
		return false;
	n = tti_env_syscall(SYS_read, fd, (long)buf, (long)size - 1, 0, 0, 0);
	tti_env_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	if (n < 0)
		return false;
	buf[n] = '\0';
	return true;
}

/* Version 2: "quota period" in microseconds, or "max period". 0: no bound. */
static unsigned quota_v2(const char *dir)
{
	char path[600], text[64];
	unsigned long quota, period;

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", dir);
	if (!read_text(path, text, sizeof(text)) || sscanf(text, "%lu %lu", &quota, &period) != 2 || period == 0)
		return 0;
	return (unsigned)((quota + period - 1) / period);
}

static long number_in(const char *dir, const char *file)
{
	char path[600], text[64];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/cpu%s/%s", dir, file);
	return read_text(path, text, sizeof(text)) ? strtol(text, NULL, 10) : -1;
}

/* Version 1: two files, a quota of -1 means none. */
static unsigned quota_v1(const char *dir)
{
	long quota = number_in(dir, "cpu.cfs_quota_us"), period = number_in(dir, "cpu.cfs_period_us");

	return quota > 0 && period > 0 ? (unsigned)((quota + period - 1) / period) : 0;
}

static unsigned smaller_bound(unsigned a, unsigned b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

/* "0::/path" names the group in version 2, "4:cpu,cpuacct:/path" in version 1. */
static unsigned quota_of_line(char *line)
{
	char *controllers = strchr(line, ':'), *dir;

	if (controllers == NULL)
		return 0;
	dir = strchr(++controllers, ':');
	if (dir == NULL)
		return 0;
	*dir++ = '\0';
	if (strcmp(dir, "/") == 0)
		dir = "";
	if (*controllers == '\0')
		return quota_v2(dir);
	return strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 ? quota_v1(dir) : 0;
}

/* 0: no bound. Inside a container the path of the file may not be visible; its own group is
 * then mounted at the top. */
static unsigned quota_count(void)
{
	unsigned bound = smaller_bound(quota_v2(""), quota_v1(""));
	char text[2048], *line, *rest;

	if (!read_text("/proc/self/cgroup", text, sizeof(text)))
		return bound;
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		bound = smaller_bound(bound, quota_of_line(line));
	return bound;
}

unsigned tti_env_cpu_count(void)
{
	unsigned cpus = affinity_count(), quota = quota_count();

	return quota > 0 && quota < cpus ? quota : cpus;
}
