# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154
# memcheck.sh - TESTING row 2: valgrind's memcheck, told of the stacks of tasks.
#
# On epoll: memcheck, too, takes what a ring's completion wrote for never set. It makes a
# program 20 to 50 times slower and runs one thread at a time, so a night has the suite and
# a check a sample. No suppressions. Leaks are the business of the asan tier.
tier_about='memcheck: the runtime on epoll with its stacks registered (a sample by day)'
tier_budget=120
tier_budget_night=5400

# Left out: programs that set limits on descriptors or on the size of files, which valgrind
# keeps for itself and does not obey (net.tcp, net.file, limits); that count resident pages
# or overflow a stack (plain ones); that start children, or themselves once more (task.error), which
# valgrind would have to follow.
left_out='task\.error|net\.(tcp|file)|integration\.(limits|stacks|idle|failure)|fiber\.|io\.|rt\.|testing\.'

tier_run() {
	have valgrind || { absent 'no valgrind: apt-get install valgrind'; return; }
	[ -e /usr/include/valgrind/valgrind.h ] || { absent 'no header of valgrind'; return; }
	filter='^(wait|sync\.(mutex|select)|scope\.group|net\.(transfer|unix))'
	programs='wait_test mutex_test select_test group_test transfer_test unix_test'
	workers=1
	if night; then
		filter="^(?!$left_out)"
		programs=all
		workers=1,4
	fi
	echo '+ build memcheck'
	# shellcheck disable=SC2086  # one target each
	if ! cmake --preset memcheck || ! cmake --build build/memcheck --parallel "$jobs" --target $programs; then
		fail "build memcheck: see $TT_CHECK_DIR/$tier.log"
		return
	fi
	run_counted tools/kit_run.py --build build/memcheck --on epoll --workers $workers \
		--filter "$filter" --without children --timeout 1800 --extra=--timeout=600 \
		--wrap 'valgrind -q --error-exitcode=99 --fair-sched=yes --leak-check=no'
}
