#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""guest.py - boot a kernel in an emulator and run the tests of a build under it.

guest.py --kernel IMAGE --build DIR [--configurations epoll1,epoll4,uring1,uring4]
         [--plain] [--filter REGEX] [--seconds N] [--test-seconds N] [--memory MIB]
         [--log FILE] [--accel kvm|tcg]

One boot: an initramfs of busybox, init.sh, the test programs and the libraries they load
comes up, runs each program after the other, writes what they print over the serial line,
and turns itself off. The boot is ended after --seconds. A failure prints the end of the
program's output and a line "FAILED: name"; the last line reads "N passed, M failed, K
skipped" and counts programs; the line before counts the tests in them (their TAP).

Left out, here and not in the guest, because it says nothing about a kernel:
	the configurations on sim       they make no system call that matters
	ext-curl, ext-sqlite, gateway, durability    the runtime's calls are what is asked
	                                about; these bring libraries and need compilers, ports
	                                and disks of a whole system
	tidy, headers, model, gdb, example.*         no kit tests
"""

import argparse
import collections
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import kit_run  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
NO_KERNEL_IN_IT = r'^(ext-curl|ext-sqlite|gateway|durability)\.'
# What getaddrinfo() and getpwnam() want to find.
ETC = {
    'hosts': '127.0.0.1 localhost\n::1 localhost\n',
    'passwd': 'root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n',
    'group': 'root:x:0:\nnogroup:x:65534:\n',
    'nsswitch.conf': 'hosts: files\nservices: files\n',
    'services': 'http 80/tcp\nhttps 443/tcp\ndomain 53/udp\n',
}


class Archive:
    """A cpio archive in the kernel's format ("newc")."""

    def __init__(self, file):
        self.file, self.inode, self.folders = file, 0, set()

    def _entry(self, name, mode, body=b''):
        self.inode += 1
        encoded = name.encode() + b'\0'
        fields = (self.inode, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(encoded), 0)
        header = b'070701' + b''.join(b'%08X' % f for f in fields)
        for part in (header + encoded, body):
            self.file.write(part + b'\0' * (-len(part) % 4))

    def folder(self, path):
        if path and path not in self.folders:
            self.folder(os.path.dirname(path))
            self.folders.add(path)
            self._entry(path, stat.S_IFDIR | 0o755)

    def add(self, path, body, mode=0o644):
        path = path.lstrip('/')
        self.folder(os.path.dirname(path))
        self._entry(path, stat.S_IFREG | mode, body)

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def finish(self):
        self._entry('TRAILER!!!', 0)


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def libraries(program):
    """The shared objects that a program loads, as paths; none for a static one."""
    ldd = subprocess.run(['ldd', program], capture_output=True, text=True, check=False)
    if 'not found' in ldd.stdout:
        sys.exit(f'guest.py: {program}: {ldd.stdout}')
    return re.findall(r'(/\S+) \(0x', ldd.stdout)


def stripped(program, folder):
    """The program without what only a debugger reads: a fifth of the size."""
    out = os.path.join(folder, os.path.basename(program))
    subprocess.run(['strip', '--strip-debug', '-o', out, program], check=True)
    return read(out)


def pack(path, runs, work):
    """runs: (name, seconds, program, arguments)."""
    with open(path, 'wb') as file:
        archive = Archive(file)
        for folder in ('proc', 'sys', 'dev', 'tmp', 'guest', 'bin', 'usr', 'usr/bin', 'root', 'var'):
            archive.folder(folder)
        archive.link('var/tmp', '/tmp')
        archive.add('bin/busybox', read(shutil.which('busybox')), 0o755)
        archive.add('init', read(os.path.join(HERE, 'init.sh'))
                    .replace(b'#!/bin/sh', b'#!/bin/busybox sh', 1), 0o755)
        for name, text in ETC.items():
            archive.add('etc/' + name, text.encode())
        programs = sorted({program for _, _, program, _ in runs})
        for program in programs:
            archive.add('guest/' + os.path.basename(program), stripped(program, work), 0o755)
        loading = programs + [shutil.which('busybox')]
        for library in sorted({path for program in loading for path in libraries(program)}):
            archive.add(library, read(library), 0o755)
        archive.add('guest/tests', ''.join(
            f'{name} {seconds} /guest/{os.path.basename(program)} {" ".join(arguments)}\n'
            for name, seconds, program, arguments in runs).encode())
        archive.finish()


def wanted(args):
    runs = []
    for test in kit_run.read_tests(args.build):
        if re.search(NO_KERNEL_IN_IT, test.name) or not re.search(args.filter, test.name):
            continue
        if not test.configurations and args.plain:
            runs.append((test.name, args.test_seconds, test.program, []))
        for word in args.configurations.split(','):
            if word in test.configurations:
                on, workers = re.match(r'([a-z]+)(\d+)$', word).groups()
                runs.append((f'{test.name}:{word}', args.test_seconds, test.program, [
                    '--on=' + on, '--workers=' + workers, f'--timeout={args.test_seconds // 2}']))
    return runs


def boot(args, initramfs):
    """What the serial line said, and why it stopped when it did not stop by itself."""
    # One processor whose clock counts its instructions (two nanoseconds each) and jumps over
    # sleeps: however slow the emulator is, to the guest no task is late. Tests that expect
    # something within a time would fail otherwise, and races between processors are looked
    # for on real ones.
    words = 'console=ttyS0 quiet loglevel=3 panic=-1 nowatchdog random.trust_cpu=on tsc=reliable'
    # timeout(1) ends it even when this program is killed.
    command = ['timeout', '-k', '5', str(args.seconds), 'qemu-system-x86_64', '-nodefaults',
               '-no-user-config', '-display', 'none', '-machine', 'q35', '-cpu', 'max' if args.accel == 'tcg' else 'host',
               '-smp', '1', '-m', str(args.memory), '-no-reboot', '-serial', 'stdio',
               *(['-accel', 'kvm'] if args.accel == 'kvm' else
                 ['-accel', 'tcg,thread=single', '-icount', 'shift=1,sleep=off']),
               '-kernel', args.kernel, '-initrd', initramfs, '-append', words]
    print('+', shlex.join(command), flush=True)
    with open(args.log, 'wb') as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    why = {0: '', 124: f'not done after {args.seconds} s'}.get(
        status, f'the emulator ended with status {status}')
    return read(args.log).decode(errors='replace').replace('\r', ''), why


def results(text):
    """name -> (status, output), of the runs that began; a status of None: did not end."""
    found = {}
    for part in re.split(r'(?m)^guest begin ', text)[1:]:
        name, _, body = part.partition('\n')
        end = re.search(r'(?m)guest end ' + re.escape(name) + r' (\d+)$', body)
        found[name] = (int(end.group(1)), body[:end.start()]) if end else (None, body)
    return found


def report(runs, text, why):
    counts, points = collections.Counter(), 0
    found = results(text)
    print(*re.findall(r'(?m)^guest up .*$', text) or ['the guest never came up'])
    for name, seconds, _, _ in runs:
        status, output = found.get(name, (None, ''))
        points += sum(kit_run.read_tap(output).values())
        if status == 0:
            counts['passed'] += 1
        elif status == kit_run.SKIPPED:
            counts['skipped'] += 1
            print(f'skipped: {name}')
        else:
            counts['failed'] += 1
            ended = (f'hung for {seconds} s' if status == 137 else f'status {status}'
                     if status is not None else f'did not end; {why}' if name in found
                     else f'was not reached; {why}')
            print('\n'.join(output.split('\n')[-30:]))
            print(f'FAILED: {name} ({ended})')
    print(f'{points} tests passed in {counts["passed"]} programs')
    print(f'{counts["passed"]} passed, {counts["failed"]} failed, {counts["skipped"]} skipped')
    return 1 if counts['failed'] else 0


def main():
    parser = argparse.ArgumentParser(description='Run tests under another kernel.')
    parser.add_argument('--kernel', required=True)
    parser.add_argument('--build', required=True)
    parser.add_argument('--configurations', default='epoll1,epoll4,uring1,uring4')
    parser.add_argument('--plain', action='store_true')
    parser.add_argument('--filter', default='')
    parser.add_argument('--seconds', type=int, default=3600)
    parser.add_argument('--test-seconds', type=int, default=300)
    parser.add_argument('--memory', type=int, default=2048)
    parser.add_argument('--log', default='guest.log')
    parser.add_argument('--accel', choices=('kvm', 'tcg'), default='tcg')
    args = parser.parse_args()
    runs = wanted(args)
    # However this ends, the emulator ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix='guest.') as work:
        initramfs = os.path.join(work, 'initramfs')
        pack(initramfs, runs, work)
        print(f'{len(runs)} runs, initramfs of {os.path.getsize(initramfs) >> 20} MiB')
        text, why = boot(args, initramfs)
    return report(runs, text, why)


if __name__ == '__main__':
    sys.exit(main())
