# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# unit.sh - TESTING row 1: every test in every configuration, gcc.
tier_about='unit and integration tests, gcc, sim, epoll and ring, 1 and 4 workers'
tier_budget=180
tier_budget_night=1800

tier_run() {
	build dev || return
	if quick; then
		run_ctest dev quick -L 'kit|plain' -E ':(uring1|uring4|sim4)$' -LE 'slow|wall|gateway|durability'
		return
	fi
	# What happens sometimes has to have happened in one of the simulations.
	TUTTI_SOMETIMES=$TT_CHECK_DIR/sometimes.txt
	export TUTTI_SOMETIMES
	rm -f "$TUTTI_SOMETIMES"
	run_ctest dev all -LE 'tidy|model|gateway|durability'
	run_counted tools/sometimes.py "$TUTTI_SOMETIMES"
}
