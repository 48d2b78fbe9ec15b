# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# replay.sh - TESTING row 5: the same seed gives the same run in another process, under
# another address layout, and from the other compiler.
tier_about='simulation: same seed, same trace, across processes and compilers'
tier_budget=90
tier_budget_night=1200

tier_run() {
	program=bin/sim_client_server_test
	build dev || return
	[ -x build/dev/$program ] || { absent "no $program"; return; }
	other=''
	if have clang && build dev-clang; then
		other=build/dev-clang/$program
	fi
	! night || export SEEDS=1000
	if tools/sim_repro.sh build/dev/$program ${other:+"$other"}; then
		pass 1
	else
		fail 'the same seed gave two different runs'
	fi
}
