# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# promises.sh - the table promise -> test: each break in tests/promises must fail its test.
tier_about='promises: breaking the code of each fails its test (a third with each commit; a night all)'
tier_budget=240
tier_budget_night=240

tier_run() {
	if night; then
		run_counted tools/promises.py
		return
	fi
	# Another third with each commit.
	part=$(($(git rev-list --count HEAD 2>/dev/null || echo 0) % 3))
	note "part $part of 3"
	run_counted tools/promises.py --part $part/3
}
