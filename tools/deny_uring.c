/* SPDX-License-Identifier: MIT */
/*
 * deny_uring.c - run a program under a kernel that refuses io_uring.
 *
 * deny-uring EPERM|ENOSYS program [arguments...]
 *
 * Container runtimes answer EPERM to the io_uring system calls, old kernels ENOSYS; a
 * seccomp filter gives either answer on any kernel. The filter is inherited by every
 * child. Called by tools/check/seccomp.sh around each kit test.
 *
 * Exit       127 when the program cannot be started, 2 on misuse, 77 when this machine
 *            does not allow filters; otherwise the program's own.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "deny_uring: name this machine's AUDIT_ARCH here"
#endif

/* io_uring_setup, _enter and _register are consecutive on every architecture. */
#define FIRST_CALL 425
#define LAST_CALL 427

static int install_filter(unsigned int answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_CALL, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_CALL, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (answer & SECCOMP_RET_DATA)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
		return -errno;
	return 0;
}

/* The filter is believed only after it has been seen to answer. */
static int filter_answers(int answer)
{
	return syscall(FIRST_CALL, 1, NULL) == -1 && errno == answer;
}

int main(int argc, char **argv)
{
	int answer, rc;

	if (argc >= 3 && strcmp(argv[1], "EPERM") == 0) {
		answer = EPERM;
	} else if (argc >= 3 && strcmp(argv[1], "ENOSYS") == 0) {
		answer = ENOSYS;
	} else {
		fprintf(stderr, "usage: deny-uring EPERM|ENOSYS program [arguments...]\n");
		return 2;
	}
	rc = install_filter((unsigned int)answer);
	if (rc < 0) {
		fprintf(stderr, "deny-uring: no seccomp filter here: %s\n", strerror(-rc));
		return 77;
	}
	if (!filter_answers(answer)) {
		fprintf(stderr, "deny-uring: the filter is installed but does not answer\n");
		return 77;
	}
	execvp(argv[2], argv + 2);
	fprintf(stderr, "deny-uring: %s: %s\n", argv[2], strerror(errno));
	return 127;
}
