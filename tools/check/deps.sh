# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# deps.sh - a machine that lacks a build dependency gets it first.
tier_about='build dependencies of debian/control, installed when missing'
tier_budget=300
tier_budget_night=300

tier_run() {
	./dev deps || { fail 'a build dependency is missing'; return; }
	if have apt-get; then
		pass 1
	else
		absent 'no apt-get on this machine'
	fi
}
