# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# plants.sh - TESTING row 19: a planted bug is found, within 1,000 seeds.
tier_about='builds with a planted bug: each is found within 1,000 simulated seeds'
tier_budget=120
tier_budget_night=600

tier_run() {
	run_counted tools/laws.sh plants
}
