# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# fuzz.sh - TESTING row 11: every X_fuzz.c under libFuzzer, ASan and UBSan.
#
# The corpus is tests/fuzz/X/ where there is one, and what the fuzzer has found in earlier
# runs (build/fuzz/corpus/X). A crash leaves its input in build/fuzz/crash-X-...
tier_about='fuzzing: corpus, then 20 s for each target (a night 25 min)'
tier_budget=120
tier_budget_night=7200

fuzz_one() { # program
	name=${1##*/}
	name=${name%_fuzz}
	corpus=build/fuzz/corpus/$name
	mkdir -p "$corpus"
	# The cases of the parser's own test are the first inputs.
	if [ "$name" = http ] && [ -x build/dev/bin/http_parser_test ]; then
		build/dev/bin/http_parser_test --write-corpus "$corpus" || fail 'http: no corpus' || return
	fi
	set -- "$1" "$corpus"
	[ ! -d "tests/fuzz/$name" ] || set -- "$@" "tests/fuzz/$name"
	"$@" -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=1024 -timeout=10 -verbosity=1 \
		-print_final_stats=1 -artifact_prefix="build/fuzz/crash-$name-" >"build/fuzz/$name.out" 2>&1
	rc=$?
	tail -n 25 "build/fuzz/$name.out"
	if [ $rc -ne 0 ]; then
		fail "$name: $(grep -m1 'SUMMARY' "build/fuzz/$name.out"), input in build/fuzz"
		return
	fi
	pass 1
	note "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.out") executions"
}

tier_run() {
	have clang || { absent 'no clang'; return; }
	build dev && build fuzz || return
	seconds=20
	! night || seconds=1500
	found=''
	for program in build/fuzz/bin/*_fuzz; do
		[ -x "$program" ] || continue
		found=1
		fuzz_one "$program"
	done
	[ -n "$found" ] || absent 'no X_fuzz.c'
}
