# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154
# plants.sh - TESTING row 19: each planted bug turns its gates red, and each gate is turned
# red by one. The bugs are tests/plants/*.txt; a night also runs their slow ways.
tier_about='planted bugs: every gate is seen to find one, every bug is found by its gates'
tier_budget=150
tier_budget_night=900

tier_run() {
	if night; then
		run_counted tools/plants.py --night --jobs "$jobs"
	else
		run_counted tools/plants.py --jobs "$jobs"
	fi
}
