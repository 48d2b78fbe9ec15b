# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# promises.sh - the table promise -> test: each break in tests/promises must fail its test.
tier_about='promises: breaking the code of each fails its test'
tier_budget=240
tier_budget_night=240

tier_run() {
	run_counted tools/promises.py
}
