# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# seeds.sh - TESTING row 5: seeded simulation with faults; the failing seed is printed.
#
# Runs the kit tests that loop over tt_test_seeds(); torture, where each seed is hundreds of
# runs, gets a thirtieth. A night goes in slices and remembers where the next one begins,
# so that it can be resumed.
tier_about='simulated seeds with faults (10,000; a night 10 million)'
tier_budget=120
tier_budget_night=28800

seeded() { # first count pattern-of-names
	run_counted tools/kit_run.py --build build/release --on sim --workers 1,2,4 \
		--calls tt_test_seeds --filter "$3" --timeout 14400 \
		--extra "--seed=$1 --seeds=$2 --timeout=3600"
}

slice_of_seeds() { # first count
	seeded "$1" "$2" '^(?!.*torture)' || return
	seeded "$1" $(($2 / 30 + 1)) torture
}

tier_run() {
	build release || return
	if ! night; then
		slice_of_seeds 1 "${TT_SEEDS:-10000}"
		return
	fi
	progress=$TT_CHECK_DIR/seeds.next
	first=$(cat "$progress" 2>/dev/null || echo 1)
	last=${TT_NIGHT_SEEDS:-10000000}
	while [ "$first" -le "$last" ]; do
		slice_of_seeds "$first" 100000 || return
		! grep -q '^absent ' "$TT_CHECK_RESULT" || return 0
		first=$((first + 100000))
		echo "$first" >"$progress"
	done
	rm -f "$progress"
	note "seeds 1 to $last"
}
