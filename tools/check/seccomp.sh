# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# seccomp.sh - TESTING row 17: the suite where the kernel refuses io_uring.
tier_about='io_uring refused with EPERM, then ENOSYS: TUTTI_IO=auto falls back'
tier_budget=120
tier_budget_night=600

tier_run() {
	build dev || return
	for answer in EPERM ENOSYS; do
		run_counted env TUTTI_IO=auto tools/kit_run.py --build build/dev --on auto \
			--workers 1,4 --wrap "build/dev/bin/deny-uring $answer"
	done
}
