#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""breaks.py - a program with one deliberate break of the sources in it.

Shared by promises.py and plants.py. A break is written as

    file: src/sync/pool.c
    - 	if (item != NULL)
    -		give_back(item);
    + 	(void)item;

The lines behind "-" must be in the file exactly once, one after the other; leading blanks
do not matter. Several pairs of "file:" and its lines make one break.

No tree is copied and no build is made anew: of an existing build (Build) the objects that
the break concerns are compiled again, with the broken text found in front of the sound one,
and the program is linked again with those objects in place of the sound ones. So a break
costs one compilation, as a rule, and one link.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Mistake(Exception):
    """Something is wrong with a break, or with how it is told; not a verdict."""


# ---------------------------------------------------------------- reading

class Edits:
    """The breaks of one entry: [file, old lines, new lines] each."""

    def __init__(self, where):
        self.where = where
        self.edits = []

    def begin(self, path):
        self.edits.append([path, [], []])

    def add(self, line):
        """A line that begins with "-" or "+"."""
        if not self.edits:
            raise Mistake(f'{self.where}: lines to replace before "file:"')
        self.edits[-1][1 if line[0] == '-' else 2].append(line[1:].strip())

    def is_whole(self):
        return bool(self.edits) and all(old for _, old, _ in self.edits)

    def files(self):
        return sorted({path for path, _, _ in self.edits})

    def texts(self):
        """path -> the text of each file with the break in it."""
        texts = {}
        for path, old, new in self.edits:
            if path not in texts:
                with open(os.path.join(ROOT, path), encoding='utf-8') as f:
                    texts[path] = f.read()
            texts[path] = replaced(self.where, texts[path], path, old, new)
        return texts


def replaced(where, text, path, old, new):
    """text with the lines `old` replaced, compared without their leading blanks."""
    lines = text.split('\n')
    found = [i for i in range(len(lines) - len(old) + 1)
             if all(lines[i + k].strip() == old[k] for k in range(len(old)))]
    if len(found) != 1:
        raise Mistake(f'{where}: "{old[0]}" is {len(found)} times in {path}, not once')
    i = found[0]
    indent = re.match(r'\s*', lines[i]).group()
    return '\n'.join(lines[:i] + [indent + l for l in new] + lines[i + len(old):])


# ---------------------------------------------------------------- building

def run(command, cwd=ROOT):
    """(exit status, output)."""
    result = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    return result.returncode, result.stdout.decode(errors='replace')


class Build:
    """A build of the tree as it stands, by a preset of CMakePresets.json. What is compiled
    again gets the further options."""

    def __init__(self, folder, preset, options=()):
        self.folder, self.preset, self.options = os.path.abspath(folder), preset, list(options)
        self.lock = threading.Lock()
        self.commands = None        # object -> its entry of compile_commands.json
        self.needs = None           # object -> the files that it was compiled from
        self.queries = {}

    def make(self, programs, jobs):
        """Configures if that was not done, and brings the programs up to date."""
        cache = os.path.join(self.folder, 'CMakeCache.txt')
        command = ['cmake', '--preset', self.preset, '-B', self.folder]
        if os.path.exists(cache):
            with open(cache, encoding='utf-8') as f:
                # A tree that was moved or copied cannot keep its cache.
                if f'CMAKE_HOME_DIRECTORY:INTERNAL={ROOT}\n' not in f.read():
                    command.append('--fresh')
        for command in (command, ['ninja', '-C', self.folder, f'-j{jobs}', *sorted(set(programs))]):
            status, output = run(command)
            if status != 0:
                raise Mistake(f'failed: {shlex.join(command)}\n{output[-3000:]}')
        self.read()

    def read(self):
        with open(os.path.join(self.folder, 'compile_commands.json'), encoding='utf-8') as f:
            self.commands = {re.search(r' -o (\S+)', entry['command']).group(1): entry for entry in json.load(f)}
        self.needs, target = {}, None
        for line in self.ninja('deps').split('\n'):
            if line.startswith('    '):
                self.needs[target].add(line.strip())
            elif ':' in line:
                target = line.split(':')[0]
                self.needs[target] = set()

    def ninja(self, *arguments):
        with self.lock:
            if arguments not in self.queries:
                status, output = run(['ninja', '-C', self.folder, '-t', *arguments])
                if status != 0:
                    raise Mistake(f'ninja -t {shlex.join(arguments)} in {self.folder}: {output[-500:]}')
                self.queries[arguments] = re.sub(r'^ninja: Entering directory.*\n', '', output)
            return self.queries[arguments]

    def link_words(self, program):
        """The command that links a program, without what the shell does around it."""
        last = self.ninja('commands', '-s', f'bin/{program}').strip().split('\n')[-1]
        parts = [p.strip() for p in last.split(' && ') if p.strip() not in (':', '')]
        return shlex.split(parts[0])

    def members(self, archive):
        """The objects in an archive."""
        inputs = self.ninja('query', archive).split('\n')
        return [line.strip() for line in inputs if line.startswith('    ') and line.endswith('.o')]

    def is_concerned(self, obj, paths):
        entry = self.commands.get(obj)
        return entry is not None and (entry['file'] in paths or bool(self.needs.get(obj, set()) & paths))

    def compile(self, obj, overlay):
        """One object again, from what is in the overlay where there is something."""
        entry = self.commands[obj]
        words = shlex.split(entry['command'])
        out = os.path.join(overlay, 'obj', self.preset, obj)
        os.makedirs(os.path.dirname(out), exist_ok=True)
        for option, value in (('-o', out), ('-MF', out + '.d')):
            if option in words:
                words[words.index(option) + 1] = value
        source = os.path.join(overlay, os.path.relpath(entry['file'], ROOT))
        if os.path.exists(source):
            words[words.index('-c') + 1] = source
        first = [f'-fmacro-prefix-map={overlay}/=']
        for word in words:
            if word.startswith('-I') and word[2:].startswith(ROOT + '/'):
                first.append('-I' + os.path.join(overlay, os.path.relpath(word[2:], ROOT)))
        first.append('-iquote' + os.path.dirname(entry['file']))
        status, output = run(words[:1] + first + words[1:] + self.options, entry['directory'])
        if status != 0:
            raise Mistake(f'the break does not compile ({self.preset}):\n{output[-1500:]}')
        return out

    def link(self, program, edits, overlay):
        """The path of the program with the break in it. The overlay is a folder of this
        break alone."""
        for path, text in edits.texts().items():
            target = os.path.join(overlay, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, 'w', encoding='utf-8') as f:
                f.write(text)
        paths = {os.path.join(ROOT, path) for path in edits.files()}
        words = self.link_words(program)
        own = [w for w in words if w.endswith('.o')]
        archived = [m for w in words if w.endswith('.a') for m in self.members(w)]
        broken = {obj: self.compile(obj, overlay) for obj in own + archived if self.is_concerned(obj, paths)}
        if not broken:
            raise Mistake(f'{edits.where}: {program} has nothing of {", ".join(edits.files())} in it')
        out = os.path.join(overlay, 'bin', self.preset, program)
        os.makedirs(os.path.dirname(out), exist_ok=True)
        at = words.index('-o')
        words[at + 1] = out
        words = [broken.get(w, w) for w in words]
        # In front of the archive, whose own member then satisfies nothing any more.
        words[at:at] = [new for obj, new in broken.items() if obj not in own]
        status, output = run(words, self.folder)
        if status != 0:
            raise Mistake(f'{edits.where}: {program} does not link:\n{output[-1500:]}')
        return out


# ---------------------------------------------------------------- running

class Outcome:
    def __init__(self, output, found, status, seconds):
        self.output = output
        self.found = found      # the line that ended it, or ''
        self.status = status    # None: it was still running at the time limit
        self.seconds = seconds


def run_until(command, evidence, seconds, env=None):
    """Runs a program up to the first line that the pattern is in, or its end, or the time
    limit: a broken library may hang, and what comes after the first failure tells nothing."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors='replace',
                               start_new_session=True, cwd=ROOT, env={**os.environ, **(env or {})})
    hung = threading.Event()

    def end_all():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    timer = threading.Timer(seconds, lambda: (hung.set(), end_all()))
    timer.start()
    lines, found = [], ''
    try:
        for line in process.stdout:
            lines.append(line)
            if re.search(evidence, line):
                found = line.strip()
                break
    finally:
        timer.cancel()
        end_all()       # before the wait: until then the number is nobody else's
        process.stdout.close()
        status = process.wait()
    return Outcome(''.join(lines), found, None if hung.is_set() else status, time.monotonic() - began)
