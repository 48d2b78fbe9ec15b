# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154
# coverage.sh - TESTING row 12: the lines and branches of the library that tests execute;
# at night also the conditions of its kernel files (MC/DC, which takes clang 18 or later).
#
# The floors are in tests/coverage/floor.txt, what is left out in exclusions.txt beside it.
tier_about='coverage of the library: lines, branches; kernel files in full'
tier_budget=240
tier_budget_night=1800

# What counts resident pages, attaches a debugger or tries every schedule says nothing more
# of the code's ways.
without='^(gdb|tutti-sim|integration\.(stacks|explore))'
# One seed is enough for what the simulator runs, but for these, which count their seeds.
seeded='^(net\.(tcp|udp)|sim\.(sim|sim_net|disk)|testing\.kit|integration\.crash_torture):'

# configure_and_build PRESET: ./dev builds what a developer works with, not this.
configure_and_build() {
	echo "+ build $1"
	cmake --preset "$1" || fail "configure $1: see $TT_CHECK_DIR/$tier.log" || return
	# shellcheck disable=SC2046  # a list of words: the programs that tests.txt names
	cmake --build "build/$1" --parallel "$jobs" --target $(cut -d'|' -f3 "build/$1/tests.txt") ||
		fail "build $1: see $TT_CHECK_DIR/$tier.log"
}

# The rows of the table as "layer lines/branches", a few to a line.
note_table() {
	awk '$3 == "%" && $4 ~ /^[0-9]+$/ && NF == 11 && $0 !~ /^ / { printf "%s %d/%d\n", $1, $2, $7 }' \
		"$TT_CHECK_DIR/$tier.out" | paste -sd ' ' - | fold -s -w 120 >"$TT_CHECK_DIR/$tier.rows"
	while read -r row; do
		[ -z "$row" ] || note "$row"
	done <"$TT_CHECK_DIR/$tier.rows"
	note "$(sed -n 's/^reached: \(.*\)/\1/p' "$TT_CHECK_DIR/$tier.out" | paste -sd ' ' -)"
	note "$(grep '^excluded by name' "$TT_CHECK_DIR/$tier.out")"
}

conditions() {
	if ! have clang-19 || ! have llvm-cov-19; then
		absent 'MC/DC: no clang-19 or llvm-19 (apt-get install clang-19 llvm-19 libclang-rt-19-dev)'
		return
	fi
	configure_and_build mcdc || return
	profiles=$TT_CHECK_DIR/profiles
	rm -rf "$profiles"
	# %m: processes of one program add to one file.
	LLVM_PROFILE_FILE=$profiles/%m.profraw
	export LLVM_PROFILE_FILE
	run_ctest mcdc mcdc -LE 'tidy|model|gateway|durability' -E "$without"
	unset LLVM_PROFILE_FILE
	llvm-profdata-19 merge -sparse "$profiles"/*.profraw -o "$profiles/all" ||
		fail 'MC/DC: no profile' || return
	objects=''
	for object in build/mcdc/bin/*_test; do
		objects="$objects -object $object"
	done
	# shellcheck disable=SC2086  # a list of words
	llvm-cov-19 export -instr-profile="$profiles/all" $objects >"$profiles/export.json" ||
		fail 'MC/DC: no export' || return
	run_counted tools/coverage.py --mcdc "$profiles/export.json" --files --missing all \
		--gate tests/coverage/floor.txt --exclusions tests/coverage/exclusions.txt
	note_table
}

tier_run() {
	have gcov || { absent 'no gcov'; return; }
	configure_and_build coverage || return
	tools/coverage.py --build build/coverage --clear
	if night; then
		run_ctest coverage all -LE 'tidy|model|gateway|durability' -E "$without"
	else
		export TUTTI_SEED=1
		run_ctest coverage some -L 'kit|plain' -LE 'gateway|durability' \
			-E "$without|$seeded|:(epoll1|uring1)\$|^par\.sort:sim"
		run_ctest coverage alone -R '\.failure_.*:(epoll1|uring1)$'
		unset TUTTI_SEED
		run_ctest coverage seeds -R "$seeded" -E ':(epoll1|uring1)$'
	fi
	run_counted tools/coverage.py --build build/coverage --files --missing all \
		--gate tests/coverage/floor.txt --exclusions tests/coverage/exclusions.txt
	note_table
	! night || conditions
}
