# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# tidy.sh - STYLE section 1: the mechanical checks, and programs that must (not) compile.
tier_about='mechanical checks, their self-test, public headers on four compilers'
tier_budget=120
tier_budget_night=120

tier_run() {
	build dev || return
	run_ctest dev tidy -L tidy
	run_counted tools/quotes.py
	for script in dev .ci/run tools/*.sh tools/check/*.sh; do
		shell='sh'
		[ "$script" != .ci/run ] || shell='bash'
		if "$shell" -n "$script"; then
			pass 1
		else
			fail "$script does not parse"
		fi
	done
}
