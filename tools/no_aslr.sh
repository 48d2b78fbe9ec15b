#!/bin/sh
# SPDX-License-Identifier: MIT
#
# no_aslr.sh - run a program without address randomisation where that is allowed.
#
# clang's thread sanitizer refuses to start when the kernel places mappings where its
# shadow should be. Where personality() is forbidden the program runs as it is.
if setarch -R true 2>/dev/null; then
	exec setarch -R "$@"
fi
exec "$@"
