# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# asan.sh - TESTING row 2: addresses, leaks, undefined behaviour; gcc and clang.
tier_about='ASan, LSan and UBSan, gcc and clang: sim, epoll and ring with four workers, gcc on sim with one as well'
tier_budget=300
tier_budget_night=1800

tier_run() {
	# One real worker is for the night: what it alone can show is an order, which addresses do not depend on.
	if night; then
		build asan && run_ctest asan gcc -LE durability
	else
		build asan && run_ctest asan gcc -LE durability -E ':(epoll1|uring1)$'
	fi
	have clang || { absent 'no clang'; return; }
	build asan-clang || return
	if night; then
		run_ctest asan-clang all
	else
		run_ctest asan-clang some -LE durability -R ':(sim4|epoll4|uring4)$|^[a-z-]+\.[a-z0-9_]+$'
	fi
}
