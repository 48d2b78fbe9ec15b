# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# durability.sh - TESTING row 13: kill -9 and power loss; nothing acknowledged is lost.
tier_about='kill -9 and power loss: no acknowledged event lost, none stored twice'
tier_budget=300
tier_budget_night=14400

tier_run() {
	build release || return
	cycles=40
	! night || cycles=${TT_NIGHT_CYCLES:-5000}
	! night || export TT_POWERLOSS_POINTS="${TT_NIGHT_POINTS:-1000}"
	run_ctest release power -L durability
	if [ ! -x build/release/bin/tutti-gateway ] || [ ! -x tests/durability/kill9.py ]; then
		absent 'no tutti-gateway, or no tests/durability/kill9.py'
		return
	fi
	echo "+ kill9.py, $cycles cycles"
	if tests/durability/kill9.py --gateway build/release/bin/tutti-gateway --cycles $cycles; then
		pass 1
		note "kill -9: $cycles cycles"
	else
		fail 'kill -9: an acknowledged event was lost or stored twice, or a restart failed'
	fi
}
