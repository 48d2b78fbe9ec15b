/* SPDX-License-Identifier: MIT */
/* frames.c - the C library's unwinder and symbol lookup; see frames.h. */
#include "env/frames.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int tti_env_frames(void **ret_frames, int max)
{
	return backtrace(ret_frames, max);
}

void tti_env_frame_text(const void *frame, char *ret_buf, size_t n)
{
	const char *file;
	size_t at;
	Dl_info i;

	/* The address is behind the call. */
	if (dladdr((const char *)frame - 1, &i) == 0 || i.dli_fname == NULL) {
		snprintf(ret_buf, n, "%p", frame);
		return;
	}
	file = strrchr(i.dli_fname, '/');
	file = file != NULL ? file + 1 : i.dli_fname;
	at = (size_t)((uintptr_t)frame - (uintptr_t)i.dli_fbase);
	if (i.dli_sname != NULL)
		snprintf(ret_buf, n, "%s+0x%zx (%s+0x%zx)", i.dli_sname, (size_t)((uintptr_t)frame - (uintptr_t)i.dli_saddr), file,
		         at);
	else
		snprintf(ret_buf, n, "%s+0x%zx", file, at);
}
