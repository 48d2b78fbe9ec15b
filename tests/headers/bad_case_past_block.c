/* SPDX-License-Identifier: MIT */
/* expect: jump */
/* A case label past an open block. */
#include <tutti/tutti.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(__cplusplus)
#pragma GCC diagnostic error "-Wjump-misses-init"
#endif

int wrong(int kind);
int wrong(int kind)
{
	switch (kind) {
	case 1:;
		TT_SCOPE(s, TT_SEC(1));
		return tt_scope_end(&s, 0);
	default:
		return 0;
	}
}
