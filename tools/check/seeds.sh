# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154
# seeds.sh - TESTING row 5: seeded simulation with faults; the failing seed is printed.
#
# Runs the kit tests that loop over tt_test_seeds(); linear.sh has its own. A night goes in slices
# and remembers where the next one begins, so that it can be resumed.
tier_about='simulated seeds with faults (10,000; a night 10 million)'
tier_budget=120
tier_budget_night=28800

seeded() { # first count pattern-of-names
	run_counted tools/kit_run.py --build build/release --on sim --workers 1,2,4 \
		--calls tt_test_seeds --filter "$3" --timeout 14400 \
		--extra "--seed=$1 --seeds=$2 --timeout=3600"
}

# Each seed of these is hundreds of runs (torture, power cuts), or their program has many tests.
long='torture|crash|disk|\.(transfer|when|scope|background|pool_time)$'

slice_of_seeds() { # first count
	seeded "$1" "$2" "^(?!.*($long|linear))" || return
	seeded "$1" $(($2 / 30 + 1)) "($long)"
}

tier_run() {
	build release || return
	if ! night; then
		slice_of_seeds 1 "${TT_SEEDS:-10000}" || return
		note "seeds 1 to ${TT_SEEDS:-10000} of every seeded test, on 1 and 4 workers or on 2 as it says; a thirtieth of the long ones"
		return
	fi
	progress=$TT_CHECK_DIR/seeds.next
	# Of this very source, or they say nothing about it.
	first=$(sed -n "s/^$TT_NIGHT_PRINT //p" "$progress" 2>/dev/null)
	first=${first:-1}
	final=${TT_NIGHT_SEEDS:-10000000}
	slice=100000
	[ "$final" -ge $slice ] || slice=$final
	while [ "$first" -le "$final" ]; do
		slice_of_seeds "$first" "$slice" || return
		! grep -q '^absent ' "$TT_CHECK_RESULT" || return 0
		first=$((first + slice))
		echo "$TT_NIGHT_PRINT $first" >"$progress"
	done
	rm -f "$progress"
	note "seeds 1 to $final of every seeded test; a thirtieth of the long ones"
}
