# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# model.sh - TESTING row 3: every interleaving of the lock-free structures.
tier_about='model checking of inbox, claim word and sleep protocol'
tier_budget=120
tier_budget_night=7200

tier_run() {
	build release || return
	run_ctest release model -L model
}
