# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# asan.sh - TESTING row 2: addresses, leaks, undefined behaviour; gcc and clang.
tier_about='ASan, LSan and UBSan: gcc in every configuration, clang on sim and epoll'
tier_budget=300
tier_budget_night=1800

tier_run() {
	# What is refused on real workers starts a process for each run: by night.
	if night; then
		build asan && run_ctest asan gcc -LE durability
	else
		build asan && run_ctest asan gcc -LE durability -E 'integration\.oom_.*:(epoll1|uring1)$'
	fi
	have clang || { absent 'no clang'; return; }
	build asan-clang || return
	if night; then
		run_ctest asan-clang all
	else
		run_ctest asan-clang some -LE durability -R ':(sim4|epoll4|uring4)$|^[a-z-]+\.[a-z0-9_]+$'
	fi
}
