# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# clang.sh - TESTING row 1 with the other compiler.
tier_about='clang builds (dev, release) and their tests'
tier_budget=180
tier_budget_night=1200

tier_run() {
	have clang || { absent 'no clang'; return; }
	build release-clang && pass 1
	build dev-clang || return
	pass 1
	if night; then
		run_ctest dev-clang all -LE 'tidy|model|durability'
	else
		run_ctest dev-clang some -LE 'tidy|model|gateway|durability' -E ':(epoll1|uring1)$'
	fi
	run_ctest release-clang release -LE 'tidy|model|gateway|durability' -R ':(sim4|epoll4)$'
}
