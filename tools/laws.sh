#!/bin/sh
# SPDX-License-Identifier: MIT
#
# laws.sh - build one broken library per law, and judge the tests.
#
# laws.sh [--number N]
#
# All of it lives in build/laws: the tests are linked once against a shared library, of
# which there is a sound one and one per variant; cmake/Laws.cmake compiles again only
# the sources that mention the switch.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
cd "$root" || exit 1

# Variants that the sources no longer have must not be judged.
rm -rf build/laws/lib
cmake --preset laws >/dev/null || exit 1
cmake --build --preset laws --target tt_laws --parallel "${DEV_JOBS:-$(nproc)}" || exit 1
exec python3 tools/laws.py --build build/laws "$@"
