# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154
# msan.sh - TESTING row 2: values that nobody set, by clang; the runtime on epoll.
#
# What a ring's completion writes the sanitizer cannot see (src/env/written.c), and only
# programs that load nothing but libc can be built with it. What a simulated run decides
# on a value that was never set would differ from process to process: sim runs too.
tier_about='MSan (clang): the runtime and its tests, epoll and sim'
tier_budget=120
tier_budget_night=1200

# They run on the ring; make raw system calls of their own; count resident pages.
left_out='^io\.(driver|uring)$|^arch\.switch$|^integration\.(stacks|idle)$'

tier_run() {
	have clang || { absent 'no clang'; return; }
	cmake --preset msan || { fail "configure msan: see $TT_CHECK_DIR/$tier.log"; return; }
	# By day what is beside its source: torture and the like take longer to build than to run.
	targets=$(awk -F'|' '$1 ~ /^(task|wait|sched|scope|sync|stream|net|obs|par|fiber|io)\./ { print $3 }' build/msan/tests.txt)
	! night || targets=all
	# Tests look at who handles these signals.
	export MSAN_OPTIONS=handle_segv=0:handle_sigbus=0
	echo '+ build msan'
	# shellcheck disable=SC2086  # one target each
	cmake --build build/msan --parallel "$jobs" --target $targets ||
		{ fail "build msan: see $TT_CHECK_DIR/$tier.log"; return; }
	if night; then
		run_ctest msan all -E ":uring|$left_out" --timeout 900
	else
		run_ctest msan some -R '^(task|wait|sched|scope|sync|stream|net|obs|par)\.[a-z_]+:epoll4$|^(fiber|io)\.[a-z_]+$|^sync\.[a-z]+:sim4$' \
			-E "$left_out"
	fi
}
