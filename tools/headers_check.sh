#!/bin/sh
# SPDX-License-Identifier: MIT
#
# headers_check.sh - programs that must compile, and programs that must not.
#
# headers_check.sh [folder]      (default: tests/headers of this tree)
#
# ok_*.c   compile without a warning as C11 with gcc and clang, as C++17 with g++ and clang++
# bad_*.c  fail to compile in each of them, and the compiler's message contains the text
#          after "expect:" in one of the file's first lines (and that of "expect-c:" or
#          "expect-cxx:", where the languages say it differently)
# A file whose first lines say "only: c" (or "only: c++") is for that language alone.
#
# Exit 0 when all is as stated, 1 when not, 77 when all that could be tried is as stated
# but a compiler is absent.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
folder=${1:-$root/tests/headers}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
warnings='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror'

passed=0 failed=0 absent=''

# The first lines of a comment "key: text */", trimmed.
says() {
	sed -n -e "10q" -e "s|.*$2:[[:space:]]*\(.*\)|\1|p" "$1" |
		sed -e 's|[[:space:]]*\*/.*||' -e 1q
}

compile() { # compiler language file -> message in $work/out
	case $2 in
	c) set -- "$1" -x c -std=c11 "$3" ;;
	c++) set -- "$1" -x c++ -std=c++17 "$3" ;;
	esac
	# shellcheck disable=SC2086  # a list of words
	"$@" $warnings -O1 -pthread -I"$root/include" -c -o "$work/out.o" >"$work/out" 2>&1
}

fail() {
	failed=$((failed + 1))
	printf '%s: %s\n' "${1#"$root"/}" "$2"
	sed 's/^/\t/' "$work/out" | head -n 12
}

# Each expectation that the file states for the language is in the compiler's message;
# $missing is one that is not.
says_what_it_should() { # compiler language file
	missing='(the file has no line "expect: text")' stated=''
	for key in expect "expect-$(echo "$2" | tr + x)"; do
		expect=$(says "$3" "$key")
		[ -n "$expect" ] || continue
		stated=1
		grep -qF -- "$expect" "$work/out" || { missing=$expect; return 1; }
	done
	[ -n "$stated" ]
}

check() { # compiler language file
	name=${3##*/}
	if compile "$@"; then
		case $name in
		ok_*) passed=$((passed + 1)) ;;
		*) fail "$3" "compiles with $1, but must not" ;;
		esac
		return
	fi
	case $name in
	ok_*)
		fail "$3" "does not compile with $1"
		;;
	*)
		if says_what_it_should "$@"; then
			passed=$((passed + 1))
		else
			fail "$3" "$1 does not say '$missing'"
		fi
		;;
	esac
}

tried=0
for file in "$folder"/ok_*.c "$folder"/bad_*.c; do
	[ -e "$file" ] || continue
	tried=$((tried + 1))
	only=$(says "$file" only)
	for pair in gcc:c clang:c g++:c++ clang++:c++; do
		compiler=${pair%%:*} language=${pair#*:}
		[ -z "$only" ] || [ "$only" = "$language" ] || continue
		if ! command -v "$compiler" >/dev/null 2>&1; then
			case " $absent " in
			*" $compiler "*) ;;
			*) absent="$absent $compiler" ;;
			esac
			continue
		fi
		check "$compiler" "$language" "$file"
	done
done

printf '%d programs, %d compilations as stated, %d not\n' "$tried" "$passed" "$failed"
[ -z "$absent" ] || printf 'absent:%s\n' "$absent"
[ "$failed" -eq 0 ] || exit 1
[ "$tried" -gt 0 ] || { echo 'no programs in tests/headers'; exit 77; }
[ -z "$absent" ] || exit 77
