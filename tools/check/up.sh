# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# up.sh - what a stranger does first: ./dev up, post an event, find it in SQLite, Ctrl-C.
tier_about='./dev up: an event posted with curl is found in SQLite; SIGINT drains, exit 0'
tier_budget=60
tier_budget_night=60

tier_run() {
	[ -f apps/gateway/main.c ] || { absent 'no gateway'; return; }
	run_counted tools/up_check.sh
}
