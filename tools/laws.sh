#!/bin/sh
# SPDX-License-Identifier: MIT
#
# laws.sh - build one broken library per law (or planted bug), and judge the tests.
#
# laws.sh [laws|plants] [--number N]
#
# All of it lives in build/laws: the tests are linked once against a shared library, of
# which there is a sound one and one per variant; cmake/Laws.cmake compiles again only
# the sources that mention the switch.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
kind=${1:-laws}
[ $# -eq 0 ] || shift
case $kind in
laws | plants) ;;
*) echo "laws.sh: laws or plants, not '$kind'" >&2; exit 2 ;;
esac

# Variants that the sources no longer have must not be judged.
rm -rf build/laws/lib
cmake --preset laws >/dev/null || exit 1
cmake --build --preset laws --target tt_laws --parallel "${DEV_JOBS:-$(nproc)}" || exit 1
exec python3 tools/laws.py "$kind" --build build/laws "$@"
