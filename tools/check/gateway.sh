# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# gateway.sh - the flagship: its unit tests, then the scripts of tests/gateway against it.
tier_about='gateway: unit tests (dev, asan), then whole runs of the release program'
tier_budget=180
tier_budget_night=1800

tier_run() {
	build dev && run_ctest dev unit -L gateway
	build release || return
	[ -x build/release/bin/tutti-gateway ] || { absent 'no tutti-gateway'; return; }
	for script in tests/gateway/*.sh tests/gateway/*.py; do
		[ -x "$script" ] || continue
		run_counted "$script" build/release/bin/tutti-gateway
	done
}
