# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# fuzz.sh - TESTING row 11: every X_fuzz.c under libFuzzer, ASan and UBSan, two at a time.
#
# The corpus is tests/fuzz/X/, with tests/fuzz/X.dict where there is one, and what the fuzzer has
# found in earlier runs (build/fuzz/corpus/X). A crash leaves its input in build/fuzz/crash-X-...;
# docs/internals/fuzzing.md says what to do with it.
tier_about='fuzzing: corpus, then 6 s for each target, two at a time (a night 25 min)'
tier_budget=150
tier_budget_night=9600

# Fewer runs than this in its time is no fuzzing: the target hangs or has become slow.
executions_min=100

corpora_of() { # name: the folders, the first one grows
	mkdir -p "build/fuzz/corpus/$1"
	echo "build/fuzz/corpus/$1"
	[ ! -d "tests/fuzz/$1" ] || echo "tests/fuzz/$1"
}

fuzz_one() { # program
	name=${1##*/}
	name=${name%_fuzz}
	out=build/fuzz/$name.out
	[ -d "tests/fuzz/$name" ] || { fail "$name: no corpus in tests/fuzz/$name"; return; }
	# The cases of the parser's own test are inputs too.
	if [ "$name" = http ]; then
		mkdir -p build/fuzz/corpus/http
		build/dev/bin/http_parser_test --write-corpus build/fuzz/corpus/http || fail 'http: no corpus' || return
	fi
	dict=''
	[ ! -f "tests/fuzz/$name.dict" ] || dict=-dict=tests/fuzz/$name.dict
	# shellcheck disable=SC2046,SC2086  # folders without blanks; no dictionary is no word
	"$1" $(corpora_of "$name") $dict -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 \
		-timeout=25 -verbosity=1 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/crash-$name-" >"$out" 2>&1
	rc=$?
	executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out")
	covered=$(sed -n 's/.*DONE  *cov: \([0-9]*\).*/\1/p' "$out")
	echo "== $name: status $rc, ${executions:-no} executions, ${covered:-no} edges"
	if [ $rc -ne 0 ]; then
		tail -n 60 "$out"
		why=$(grep -m1 -a 'does not hold' "$out" || grep -m1 -a 'SUMMARY' "$out")
		fail "$name: ${why:-status $rc}; input in build/fuzz"
	elif [ "${executions:-0}" -lt $executions_min ]; then
		fail "$name: only ${executions:-0} executions in $seconds s"
	else
		pass 1
		note "$name: $executions executions, ${covered:-?} edges"
	fi
}

# Every second program, beginning with number $1: one lane.
fuzz_lane() {
	lane=$1 number=0
	for program in build/fuzz/bin/*_fuzz; do
		number=$((number + 1))
		[ $((number % 2)) -ne "$lane" ] || fuzz_one "$program"
	done
}

tier_run() {
	have clang || { absent 'no clang'; return; }
	build dev && build fuzz || return
	[ -n "$(ls build/fuzz/bin/*_fuzz 2>/dev/null)" ] || { absent 'no X_fuzz.c'; return; }
	seconds=6
	! night || seconds=${TT_NIGHT_FUZZ:-1500}
	# Stacks of tasks and fake stacks do not go together.
	ASAN_OPTIONS=detect_stack_use_after_return=0
	export ASAN_OPTIONS
	fuzz_lane 0 &
	fuzz_lane 1
	wait
}
