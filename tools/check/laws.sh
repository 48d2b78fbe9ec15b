# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# laws.sh - TESTING row 19: a build that breaks a law turns exactly its tests red.
tier_about='twelve builds that break a law: the tests citing it fail, the others pass'
tier_budget=330
tier_budget_night=600

tier_run() {
	run_counted tools/laws.sh
}
