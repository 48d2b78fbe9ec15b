#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh - `./dev check`: the tiers of tests in order, then one summary page.
#
# run.sh [--quick|--night [--fresh]] [--only TIER[,TIER]] [--list]
#
# A tier is a file tools/check/NAME.sh that sets
#	tier_about    one line
#	tier_budget   seconds on two cores (check); night forms set their own
# and defines tier_run(), which counts with the helpers of lib.sh (pass, fail, skip,
# absent). It runs in a subshell; its output goes to build/check/NAME.log. A tier that
# returns non-zero, or counts nothing without saying why, has failed.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1

tiers='deps build unit tidy clang asan tsan laws promises plants model seeds replay fuzz seccomp aarch64 up gateway durability'
mode=check fresh='' only=''
while [ $# -gt 0 ]; do
	case $1 in
	--quick) mode=quick ;;
	--night) mode=night ;;
	--fresh) fresh=1 ;;
	--only)
		[ $# -ge 2 ] || { echo 'dev: --only needs the names of tiers' >&2; exit 2; }
		only=$(echo "$2" | tr ',' ' ')
		shift
		;;
	--list)
		for tier in $tiers; do
			printf '%-11s %s\n' "$tier" "$(sed -n "s/^tier_about='\(.*\)'/\1/p" "tools/check/$tier.sh")"
		done
		exit 0
		;;
	*) printf "dev: check does not know '%s' (./dev help)\n" "$1" >&2; exit 2 ;;
	esac
	shift
done
[ $mode != quick ] || tiers='build unit tidy'
if [ -n "$only" ]; then
	for tier in $only; do
		case " $tiers " in
		*" $tier "*) ;;
		*)
			printf "dev: no tier '%s'; they are: %s\n" "$tier" "$tiers" >&2
			exit 2
			;;
		esac
	done
	tiers=$only
fi

export TT_CHECK_MODE=$mode
export TT_CHECK_DIR="$root/build/check"
[ $mode != night ] || TT_CHECK_DIR=$root/build/night
mkdir -p "$TT_CHECK_DIR" || exit 1

# One check at a time per tree: they share build folders.
lock=$root/build/check.lock
if ! mkdir "$lock" 2>/dev/null; then
	owner=$(cat "$lock/pid" 2>/dev/null || echo 0)
	if [ "$owner" -gt 0 ] 2>/dev/null && kill -0 "$owner" 2>/dev/null; then
		printf 'dev: another check runs here (process %s)\n' "$owner" >&2
		exit 1
	fi
	mkdir -p "$lock"
fi
echo $$ >"$lock/pid"
trap 'rm -rf "$lock"' EXIT
trap 'echo; echo "dev: check interrupted"; exit 130' INT TERM HUP

# What a night's results are valid for: every file that a tier reads.
fingerprint() {
	find dev CMakeLists.txt CMakePresets.json cmake debian include src ext apps examples \
		bench tests tools -type f ! -name '*.pyc' 2>/dev/null | LC_ALL=C sort |
		tr '\n' '\0' | xargs -0 cksum | cksum | cut -d' ' -f1
}

state=$TT_CHECK_DIR/state
print=''
if [ $mode = night ]; then
	print=$(fingerprint)
	[ -z "$fresh" ] || rm -f "$state"
fi

# "passed failed skipped" of a tier's result file.
totals() {
	awk '$1 == "pass" { p += $2 } $1 == "fail" { f += $2 } $1 == "skip" { s += $2 }
		END { print p + 0, f + 0, s + 0 }' "$1"
}

words_of() { # the text lines of one kind in a result file
	sed -n "s/^$2 //p" "$1"
}

run_tier() { # name
	log=$TT_CHECK_DIR/$1.log result=$TT_CHECK_DIR/$1.result
	: >"$result"
	started=$(date +%s)
	(
		tier=$1
		export TT_CHECK_RESULT="$result"
		# shellcheck source=tools/check/lib.sh
		. tools/check/lib.sh
		# shellcheck disable=SC1090
		. "tools/check/$tier.sh"
		tier_run
	) >"$log" 2>&1
	rc=$?
	seconds=$(($(date +%s) - started))
	if [ $rc -ne 0 ] && ! grep -q '^fail ' "$result"; then
		printf 'fail 1\nwhy the tier ended with status %s\n' $rc >>"$result"
	elif ! grep -q '^\(pass\|fail\|skip\|absent\) ' "$result"; then
		printf 'fail 1\nwhy the tier counted nothing\n' >>"$result"
	fi
	printf 'seconds %s\n' $seconds >>"$result"
}

report_tier() { # name budget
	result=$TT_CHECK_DIR/$1.result
	# shellcheck disable=SC2046  # three numbers
	set -- "$1" "$2" $(totals "$result")
	seconds=$(words_of "$result" seconds)
	over=''
	[ "$seconds" -le "$2" ] || over=' OVER BUDGET'
	if [ $(($3 + $4 + $5)) -eq 0 ]; then
		printf '%-11s absent   %s\n' "$1" "$(words_of "$result" absent | tr '\n' ';')"
		return
	fi
	verdict=ok
	[ "$4" -eq 0 ] || verdict=FAILED
	printf '%-11s %-8s %4s s of %4s s%s  %5s passed %3s failed %3s skipped\n' \
		"$1" $verdict "$seconds" "$2" "$over" "$3" "$4" "$5"
}

show_failure() { # name
	printf -- '---- %s: %s\n' "$1" "$TT_CHECK_DIR/$1.log"
	words_of "$TT_CHECK_DIR/$1.result" why | head -n 40
	tail -n 60 "$TT_CHECK_DIR/$1.log"
	printf -- '----\n'
}

began=$(date +%s)
for tier in $tiers; do
	about=$(sed -n "s/^tier_about='\(.*\)'/\1/p" "tools/check/$tier.sh")
	budget=$(sed -n 's/^tier_budget=\([0-9]*\).*/\1/p' "tools/check/$tier.sh")
	if [ $mode = night ]; then
		budget=$(sed -n 's/^tier_budget_night=\([0-9]*\).*/\1/p' "tools/check/$tier.sh")
		budget=${budget:-3600}
		if grep -qsx "$tier $print" "$state" && [ -s "$TT_CHECK_DIR/$tier.result" ]; then
			printf '== %s: passed earlier tonight\n' "$tier"
			continue
		fi
	fi
	printf '== %s: %s (budget %s s)\n' "$tier" "$about" "$budget"
	run_tier "$tier"
	report_tier "$tier" "$budget"
	if grep -q '^fail ' "$TT_CHECK_DIR/$tier.result"; then
		show_failure "$tier"
	elif [ $mode = night ]; then
		echo "$tier $print" >>"$state"
	fi
done

printf '\n======== summary (%s) ========\n' $mode
passed=0 failed=0 skipped=0
for tier in $tiers; do
	budget=$(sed -n 's/^tier_budget=\([0-9]*\).*/\1/p' "tools/check/$tier.sh")
	[ $mode != night ] || budget=$(sed -n 's/^tier_budget_night=\([0-9]*\).*/\1/p' "tools/check/$tier.sh")
	report_tier "$tier" "${budget:-3600}"
	words_of "$TT_CHECK_DIR/$tier.result" note | sed 's/^/            /'
	words_of "$TT_CHECK_DIR/$tier.result" why | sed 's/^/            FAILED: /' | head -n 20
	# shellcheck disable=SC2046  # three numbers
	set -- $(totals "$TT_CHECK_DIR/$tier.result")
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
done
printf '\n%s s in all, %s skipped\n' $(($(date +%s) - began)) $skipped
printf '%s passed, %s failed\n' $passed $failed
[ $failed -eq 0 ]
