#!/bin/sh
# SPDX-License-Identifier: MIT
#
# init.sh - the first process of a guest: readies the machine, runs what /guest/tests lists,
# and turns the machine off. guest.py packs it as /init; busybox interprets it.
#
# /guest/tests   lines "name seconds program arguments..."
# The console gets, around the output of each program,
#	guest begin NAME
#	guest end NAME STATUS
# and "guest done" when every one was run. A status of 137 is our own time limit.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp TMPDIR=/tmp

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
chmod 1777 /tmp
ln -sf /proc/self/fd /dev/fd
ip link set lo up
hostname guest
# shellcheck disable=SC3045  # busybox has it
ulimit -n 65536

echo "guest up $(uname -r), $(nproc) processors"
cd /tmp || poweroff -f
while read -r name seconds command; do
	echo "guest begin $name"
	# shellcheck disable=SC2086  # words are what the list means
	timeout -s KILL "$seconds" $command </dev/null 2>&1
	echo "guest end $name $?"
	rm -rf /tmp/* # what a killed test left
done </guest/tests
echo 'guest done'
poweroff -f
