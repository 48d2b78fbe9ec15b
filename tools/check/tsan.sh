# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# tsan.sh - TESTING row 2: data races, by clang (gcc's takes 0.9 MiB for each fiber).
tier_about='TSan (clang): sim, epoll and ring with four workers'
tier_budget=240
tier_budget_night=1800

tier_run() {
	have clang || { absent 'no clang'; return; }
	build tsan || return
	if night; then
		run_ctest tsan all
	else
		run_ctest tsan some -LE durability -E ':(sim1|epoll1|uring1)$'
	fi
}
