# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# seccomp.sh - TESTING row 17: the suite where the kernel refuses io_uring.
#
# The kit tests run on "auto" under the filter, and so on the fallback; that the filter
# refuses anything is shown with a program on tt_main() that insists on the ring.
tier_about='io_uring refused with EPERM, then ENOSYS: auto falls back, the suite passes'
tier_budget=120
tier_budget_night=600

# io -> does a small program run under the filter?
runs_with() {
	TUTTI_IO=$1 build/dev/bin/deny-uring "$answer" build/dev/bin/bench-tutti pingpong_same 1000
}

tier_run() {
	build dev || return
	workers=4
	! night || workers=1,4
	for answer in EPERM ENOSYS; do
		run_counted tools/kit_run.py --build build/dev --on auto --workers $workers \
			--wrap "build/dev/bin/deny-uring $answer"
		[ -x build/dev/bin/bench-tutti ] || { absent 'no bench-tutti'; continue; }
		if runs_with auto; then
			pass 1
		else
			fail "$answer: TUTTI_IO=auto does not fall back to epoll"
		fi
		if runs_with uring; then
			fail "$answer: TUTTI_IO=uring runs where io_uring is refused"
		else
			pass 1
		fi
	done
}
