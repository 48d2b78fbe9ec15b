/* SPDX-License-Identifier: MIT */
/* expect: jump */
/* A goto past an open block: its cleanup would run on garbage (gcc: the exported flag). */
#include <tutti/tutti.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(__cplusplus)
#pragma GCC diagnostic error "-Wjump-misses-init"
#endif

int wrong(int rc);
int wrong(int rc)
{
	if (rc < 0)
		goto out;
	TT_GROUP(g);

	rc = tt_group_end(&g, 0);
	out:
	return rc;
}
