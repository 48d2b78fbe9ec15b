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
#
# The page at the end is also in build/check/summary.txt (build/night/summary.txt): counts,
# times against budgets, and the figures that a README may quote, from the tiers' notes and
# from what tests say about their own work (tools/figures.py).
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1

tiers='deps build unit tidy clang asan tsan msan memcheck laws promises plants model linear seeds replay fuzz seccomp limits aarch64 guests up gateway coverage durability'
# Not among the 25 minutes of a check: builds of their own. CI has them (.ci/run), and the night.
beyond='msan memcheck guests coverage'
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
within=$tiers
[ $mode = night ] || for tier in $beyond; do
	within=$(echo " $within " | sed "s/ $tier / /")
done
[ $mode != quick ] || within='build unit tidy'
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
	within=$only
fi
tiers=$within

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
	export TT_NIGHT_PRINT="$print"
	[ -z "$fresh" ] || rm -f "$state" "$TT_CHECK_DIR"/*.next
	missing=''
	for tool in valgrind:valgrind qemu-system-x86_64:qemu-system-x86 busybox:busybox-static clang-19:clang-19; do
		command -v "${tool%%:*}" >/dev/null 2>&1 || missing="$missing ${tool##*:}"
	done
	[ -z "$missing" ] || printf 'dev: a night does more after: apt-get install%s\n' "$missing"
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
	# The page adds up what is there: nothing of an earlier check, of another mode.
	rm -f "$TT_CHECK_DIR/$1"-*.xml "$TT_CHECK_DIR/$1.all"
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

# Seconds that a tier may take.
budget_of() { # name
	budget=$(sed -n 's/^tier_budget=\([0-9]*\).*/\1/p' "tools/check/$1.sh")
	if [ $mode = night ]; then
		budget=$(sed -n 's/^tier_budget_night=\([0-9]*\).*/\1/p' "tools/check/$1.sh")
	fi
	echo "${budget:-3600}"
}

report_tier() { # name
	result=$TT_CHECK_DIR/$1.result
	# shellcheck disable=SC2046  # four numbers
	set -- "$1" $(budget_of "$1") $(totals "$result")
	seconds=$(words_of "$result" seconds)
	over=''
	[ "$seconds" -le "$2" ] || over=' OVER BUDGET'
	if [ $(($3 + $4 + $5)) -eq 0 ]; then
		printf '%-11s absent   %s\n' "$1" "$(words_of "$result" absent | tr '\n' ';')"
		return
	fi
	verdict=ok
	[ "$4" -eq 0 ] || verdict=FAILED
	printf '%-11s %-8s %5s s of %5s s  %6s passed %3s failed %3s skipped%s\n' \
		"$1" $verdict "$seconds" "$2" "$3" "$4" "$5" "$over"
}

show_failure() { # name
	printf -- '---- %s: %s\n' "$1" "$TT_CHECK_DIR/$1.log"
	words_of "$TT_CHECK_DIR/$1.result" why | head -n 40
	tail -n 60 "$TT_CHECK_DIR/$1.log"
	printf -- '----\n'
}

# ---- the page ----------------------------------------------------------------------

# Of a tier's notes so many are on the page; its .result file has all.
notes_max=6
# All tiers of a check together, on two cores with the dependencies installed.
total_budget=1500

heading() {
	printf '======== ./dev check'
	[ $mode = check ] || printf ' --%s' $mode
	[ -z "$only" ] || printf ' --only %s' "$(echo "$only" | tr ' ' ',')"
	printf ': %s, %s cores' "$(LC_ALL=C date '+%Y-%m-%d %H:%M')" "$(nproc 2>/dev/null || echo '?')"
	if commit=$(git rev-parse --short HEAD 2>/dev/null); then
		[ -z "$(git status --porcelain 2>/dev/null)" ] || commit="$commit and changes"
		printf ', %s' "$commit"
	fi
	printf ' ========\n'
	# A night made smaller says so.
	smaller=$(env | LC_ALL=C sort | sed -n '/^TT_NIGHT_PRINT=/d; s/^TT_NIGHT_//p' | paste -sd ' ' -)
	[ $mode != night ] || [ -z "$smaller" ] || printf 'sizes       %s\n' "$smaller"
}

notes_of() { # name
	words_of "$TT_CHECK_DIR/$1.result" note | awk -v max=$notes_max -v file="$TT_CHECK_DIR/$1.result" '
		NR <= max { print "            " $0 }
		END { if (NR > max) print "            ... " NR - max " more in " file }'
	words_of "$TT_CHECK_DIR/$1.result" why | sed 's/^/            FAILED: /' | head -n 20
	# A tier without any count has said so already.
	[ "$(totals "$TT_CHECK_DIR/$1.result")" = '0 0 0' ] ||
		words_of "$TT_CHECK_DIR/$1.result" absent | sed 's/^/            absent: /'
}

# What the tests say about their own work, added up; figures.txt beside it has each.
figures() {
	have_results=''
	for tier in unit model linear; do
		case " $tiers " in
		*" $tier "*) have_results="$have_results $TT_CHECK_DIR/$tier-*.xml $TT_CHECK_DIR/$tier.all" ;;
		esac
	done
	[ -n "$have_results" ] && command -v python3 >/dev/null 2>&1 || return 0
	# shellcheck disable=SC2086  # patterns, which the tool expands
	text=$(tools/figures.py --long "$TT_CHECK_DIR/figures.txt" $have_results) || return 0
	[ -n "$text" ] || return 0
	printf '\nfigures (each in %s)\n%s\n' "$TT_CHECK_DIR/figures.txt" "$text"
}

total_line() { # seconds
	if [ $mode = check ] && [ -z "$only" ]; then
		verdict=''
		[ "$1" -le $total_budget ] || verdict=' OVER BUDGET'
		printf '\ntotal       %s s of %s s (%s min)%s\n' "$1" $total_budget $((total_budget / 60)) "$verdict"
	else
		printf '\ntotal       %s s\n' "$1"
	fi
	[ -z "$over_list" ] || printf 'over        %s\n' "$over_list"
}

# Sets passed and failed as well.
page() {
	passed=0 failed=0 skipped=0 spent=0 over_list=''
	heading
	for tier in $tiers; do
		report_tier "$tier"
		notes_of "$tier"
		seconds=$(words_of "$TT_CHECK_DIR/$tier.result" seconds)
		budget=$(budget_of "$tier")
		spent=$((spent + seconds))
		[ "$seconds" -le "$budget" ] || over_list="$over_list$tier by $((seconds - budget)) s  "
		# shellcheck disable=SC2046  # three numbers
		set -- $(totals "$TT_CHECK_DIR/$tier.result")
		passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
	done
	figures
	total_line $spent
	printf '%s skipped\n%s passed, %s failed\n' $skipped $passed $failed
}

# ---- the run -----------------------------------------------------------------------

for tier in $tiers; do
	about=$(sed -n "s/^tier_about='\(.*\)'/\1/p" "tools/check/$tier.sh")
	if [ $mode = night ] && grep -qsx "$tier $print" "$state" && [ -s "$TT_CHECK_DIR/$tier.result" ]; then
		printf '== %s: passed earlier tonight\n' "$tier"
		continue
	fi
	printf '== %s: %s (budget %s s)\n' "$tier" "$about" "$(budget_of "$tier")"
	run_tier "$tier"
	report_tier "$tier"
	if grep -q '^fail ' "$TT_CHECK_DIR/$tier.result"; then
		show_failure "$tier"
	elif [ $mode = night ] && [ "$(fingerprint)" = "$print" ]; then
		echo "$tier $print" >>"$state"
	fi
done

# A part of the tiers is no summary of the check.
file=$TT_CHECK_DIR/summary.txt
[ $mode != quick ] || file=$TT_CHECK_DIR/summary-quick.txt
[ -z "$only" ] || file=$TT_CHECK_DIR/summary-only.txt
page >"$file"
echo
cat "$file"
[ $failed -eq 0 ]
