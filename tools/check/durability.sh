# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# durability.sh - TESTING row 13: kill -9 and power loss; nothing acknowledged is lost.
#
# Runs the scripts of tests/durability with the gateway as argument. They read
# TT_KILL_CYCLES and TT_POWER_POINTS and end with "N passed, M failed".
tier_about='kill -9 and power loss: no acknowledged event lost, none stored twice'
tier_budget=240
tier_budget_night=14400

tier_run() {
	build release || return
	[ -x build/release/bin/tutti-gateway ] || { absent 'no tutti-gateway'; return; }
	TT_KILL_CYCLES=40 TT_POWER_POINTS=100
	! night || TT_KILL_CYCLES=5000 TT_POWER_POINTS=1000
	export TT_KILL_CYCLES TT_POWER_POINTS
	found=''
	for script in tests/durability/*.sh tests/durability/*.py; do
		[ -x "$script" ] || continue
		found=1
		run_counted "$script" build/release/bin/tutti-gateway
	done
	[ -n "$found" ] || absent 'tests/durability has no script'
}
