# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# linear.sh - TESTING row 4: generated programs of every primitive against sequential models.
#
# Each program runs under four schedules (four seeds in a row are one program) in simulations of
# 1, 2 and 4 workers, and a sample on real workers. A night goes in slices and remembers
# where the next one begins, so that it can be resumed.
tier_about='linearizability: 2,000 generated programs of each primitive (a night 200,000)'
tier_budget=60
tier_budget_night=3600

schedules=4

# One process for each number of workers. What they say, a line "FAILED: ..." for each that failed,
# and the sum of their last lines.
three_processes() { # first-program count
	pids=''
	for workers in 1 2 4; do
		build/release/bin/programs_test --on=sim --workers=$workers --timeout=3600 \
			--seed=$(($1 * schedules)) --seeds=$(($2 * schedules)) \
			>"$TT_CHECK_DIR/linear-$workers.tap" 2>&1 &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid"
	done
	for workers in 1 2 4; do
		tap=$TT_CHECK_DIR/linear-$workers.tap
		cat "$tap"
		sed -n "s/^not ok [0-9]* - \([^ ]*\).*/FAILED: \1 on $workers workers/p" "$tap"
		grep -q '^# [0-9]* passed, ' "$tap" || echo "FAILED: programs_test on $workers workers had no end"
	done >"$TT_CHECK_DIR/linear.sum"
	cat "$TT_CHECK_DIR/linear.sum"
	awk '/^# [0-9]+ passed, / { passed += $2 } /^FAILED: / { failed++ }
		END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 }' "$TT_CHECK_DIR/linear.sum"
}

real() { # backend count
	run_counted tools/kit_run.py --build build/release --on "$1" --workers 1,4 \
		--filter '^linear\.workers$' --timeout 3600 --extra "--seeds=$2 --timeout=1800"
}

night_of_programs() { # count
	progress=$TT_CHECK_DIR/linear.next
	# Of this very source, or they say nothing about it.
	first=$(sed -n "s/^$TT_NIGHT_PRINT //p" "$progress" 2>/dev/null)
	first=${first:-0}
	while [ "$first" -lt "$1" ]; do
		run_counted three_processes "$first" 10000 || return
		first=$((first + 10000))
		echo "$TT_NIGHT_PRINT $first" >"$progress"
	done
	rm -f "$progress"
}

tier_run() {
	programs=${TT_PROGRAMS:-2000} sample=150
	! night || { programs=${TT_NIGHT_PROGRAMS:-200000} sample=4000; }
	build release || return
	run_ctest release hand -R '^linear\.(checker|found)(:|$)' || return
	real epoll $sample || return
	real uring $sample || return
	if night; then
		night_of_programs "$programs" || return
	else
		run_counted three_processes 0 "$programs" || return
	fi
	note "$programs programs of each primitive, $schedules schedules, on 1, 2 and 4 workers; $sample on real ones"
}
