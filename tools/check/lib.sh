# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
#
# lib.sh - what the tiers of `./dev check` count and build with. Sourced by run.sh.
#
# $tier             the running tier
# $TT_CHECK_MODE    quick, check or night
# $TT_CHECK_DIR     where logs and results go
# $TT_CHECK_RESULT  this tier's counts, one "word number-or-text" a line

jobs=${DEV_JOBS:-$(nproc 2>/dev/null || echo 1)}

pass() { echo "pass $1" >>"$TT_CHECK_RESULT"; }
skip() { echo "skip $1" >>"$TT_CHECK_RESULT"; }
note() { echo "note $*" >>"$TT_CHECK_RESULT"; }
# The inputs of the tier (or of a part of it) do not exist: counts nothing.
absent() { echo "absent $*" >>"$TT_CHECK_RESULT"; }
# fail [count] why
fail() {
	count=1
	case $1 in
	*[!0-9]*) ;;
	*) count=$1; shift ;;
	esac
	printf 'fail %s\nwhy %s\n' "$count" "$*" >>"$TT_CHECK_RESULT"
	return 1
}

night() { [ "$TT_CHECK_MODE" = night ]; }
quick() { [ "$TT_CHECK_MODE" = quick ]; }
have() { command -v "$1" >/dev/null 2>&1; }

# build PRESET: into build/PRESET. A failure is counted; success is not a test.
build() {
	echo "+ build $1"
	./dev build "$1" || fail "build $1: see $TT_CHECK_DIR/$tier.log"
}

# The number in attribute $2 of the first line that has it in JUnit file $1.
junit_number() {
	sed -n "s/.*[^a-z]$2=\"\([0-9]*\)\".*/\1/p" "$1" | head -n 1
}

# run_ctest PRESET NAME [ctest options]: counts its tests. NAME is unique in the tier.
run_ctest() {
	preset=$1 xml=$TT_CHECK_DIR/$tier-$2.xml
	shift 2
	rm -f "$xml"
	echo "+ ctest $preset $*"
	# The whole output: the summary page quotes what tests say about their own work.
	ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=ignore \
		--test-output-size-passed 1000000 --output-junit "$xml" "$@"
	ctest_rc=$?
	total=$(grep -m1 -A8 '<testsuite' "$xml" 2>/dev/null | tr '\n' ' ')
	if [ -z "$total" ]; then
		fail "ctest $preset $*: status $ctest_rc and no result"
		return 1
	fi
	echo "$total" >"$xml.head"
	tests=$(junit_number "$xml.head" tests)
	failures=$(junit_number "$xml.head" failures)
	skipped=$(($(junit_number "$xml.head" disabled) + $(junit_number "$xml.head" skipped)))
	rm -f "$xml.head"
	if [ "$tests" -eq 0 ]; then
		absent "no test matches: ctest $*"
		return 0
	fi
	pass $((tests - failures - skipped))
	[ $skipped -eq 0 ] || skip $skipped
	[ "$failures" -gt 0 ] || return 0
	names=$(sed -n 's/.*<testcase name="\([^"]*\)".*status="fail".*/\1/p' "$xml" | tr '\n' ' ')
	fail "$failures" "$preset: $names"
}

# run_counted COMMAND...: a tool whose last line reads "N passed, M failed[, K skipped]"; its
# lines "note: ..." become notes. What all of a tier's tools have said is in $tier.all.
run_counted() {
	echo "+ $*"
	"$@" >"$TT_CHECK_DIR/$tier.out" 2>&1
	counted_rc=$?
	tee -a "$TT_CHECK_DIR/$tier.all" <"$TT_CHECK_DIR/$tier.out"
	sed -n 's/^note: /note /p' "$TT_CHECK_DIR/$tier.out" >>"$TT_CHECK_RESULT"
	last=$(tail -n 1 "$TT_CHECK_DIR/$tier.out" |
		sed -n 's/^.*\b\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed\(, \([0-9][0-9]*\) skipped\)\{0,1\}.*$/\1 \2 \4/p')
	if [ -z "$last" ]; then
		fail "$1: status $counted_rc and no counts"
		return 1
	fi
	# shellcheck disable=SC2086  # two or three numbers
	set -- "$1" $last
	[ "$2" -eq 0 ] || pass "$2"
	[ "${4:-0}" -eq 0 ] || skip "$4"
	if [ "$3" -gt 0 ]; then
		fail "$3" "$(sed -n 's/^FAILED: //p' "$TT_CHECK_DIR/$tier.out" | head -n 8 | tr '\n' ' ')"
		return 1
	fi
	[ $counted_rc -eq 0 ] || fail "$1: status $counted_rc although nothing failed"
	[ "$2" -gt 0 ] || [ "${4:-0}" -gt 0 ] || absent "$1 counted nothing"
}
