#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tidy.py - the mechanical checks of STYLE.md, as one ctest.

tidy.py [--build DIR] [--only RULE[,RULE]] [--root DIR]
tidy.py --self-test        every rule is seen to fire on a small bad tree
tidy.py --update-api       rewrite tools/api.txt from the built libtutti.so
tidy.py --list             the rules, one line each

Needs python3, binutils (nm) and gcc, g++; no other package. A finding is printed as
file:line: rule: text. Exit 0 without findings, 1 with findings, 2 on misuse.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

RULES = {}


def rule(name, about):
    def register(function):
        RULES[name] = (function, about)
        return function
    return register


# ---------------------------------------------------------------- the tree

class Source:
    """A text file: its lines, its comments, and its code with both blanked out."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding='utf-8', errors='replace') as f:
            self.text = f.read()
        self.lines = self.text.split('\n')
        self._code = None
        self.comments = []      # (first line, last line, text), 1-based

    @property
    def code(self):
        """The text without comments; the insides of strings blanked, layout kept."""
        if self._code is None:
            self._code = self._strip()
        return self._code

    def _strip(self):
        token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
        blank = re.compile(r'[^\n]')
        out, last = [], 0
        for m in token.finditer(self.text):
            out.append(self.text[last:m.start()])
            last, piece = m.end(), m.group()
            if piece[0] == '/':
                first = self.text.count('\n', 0, m.start()) + 1
                self.comments.append((first, first + piece.count('\n'), piece))
                out.append(blank.sub(' ', piece))
            elif self._is_include(m.start()):
                out.append(piece)
            else:
                out.append(piece[0] + blank.sub(' ', piece[1:-1]) + piece[-1])
        out.append(self.text[last:])
        return ''.join(out)

    def _is_include(self, at):
        start = self.text.rfind('\n', 0, at) + 1
        return re.match(r'\s*#\s*include\b', self.text[start:at]) is not None

    def line_of(self, offset):
        return self.text.count('\n', 0, offset) + 1

    def find(self, pattern):
        """(line, match) of each match in the code."""
        for m in re.finditer(pattern, self.code):
            yield self.line_of(m.start()), m


class Tree:
    def __init__(self, root, build=None):
        self.root = os.path.abspath(root)
        self.build = build
        self.findings = []
        self.files = sorted(self._list())
        self._sources = {}
        self.layers = self._read_layers()

    def _list(self):
        """What git tracks or would track; every file where there is no repository."""
        try:
            out = subprocess.run(
                ['git', '-c', 'safe.directory=*', '-C', self.root, 'ls-files', '-co',
                 '--exclude-standard'], check=True, capture_output=True, text=True).stdout
            found = [f for f in out.split('\n') if f and os.path.isfile(os.path.join(self.root, f))]
            if os.path.isdir(os.path.join(self.root, '.git')):
                return found
        except (OSError, subprocess.CalledProcessError):
            pass
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [d for d in folders if d not in ('.git', 'build', '__pycache__')]
            found += [os.path.relpath(os.path.join(folder, n), self.root) for n in names]
        return found

    def source(self, path):
        if path not in self._sources:
            self._sources[path] = Source(self.root, path)
        return self._sources[path]

    def c_files(self, *folders, tests=True, headers=True):
        for path in self.files:
            if not path.endswith(('.c', '.h', '.cc', '.cpp', '.S')):
                continue
            if not path.startswith(tuple(f + '/' for f in folders)):
                continue
            if not tests and is_test(path):
                continue
            if not headers and path.endswith('.h'):
                continue
            yield self.source(path)

    def _read_layers(self):
        """layer -> the layers it may use, itself included; in order."""
        layers = {}
        path = os.path.join(self.root, 'tools/layers.txt')
        if not os.path.exists(path):
            return layers
        with open(path, encoding='utf-8') as f:
            for line in f:
                line = line.split('#')[0].strip()
                if not line:
                    continue
                name, allowed = line.split(':', 1)
                words = allowed.split()
                if '*before' in words:
                    words = list(layers)
                layers[name.strip()] = set(words) | {name.strip()}
        return layers

    def finding(self, name, path, line, text):
        self.findings.append((name, path, line, text))


def is_test(path):
    return re.search(r'_test\.c$|_testkit\.[ch]$', path) is not None or path.startswith('tests/')


def is_public(path):
    """A header that programs include: the library's, or an adapter's."""
    return path.endswith('.h') and re.match(r'include/|ext/[^/]+/include/', path) is not None


def layer_of(path):
    """src/wait/wait.c -> wait; None outside src/."""
    m = re.match(r'src/([^/]+)/', path)
    return m.group(1) if m else None


# ---------------------------------------------------------------- 1 layers

# What a public header may include besides public headers: freestanding C, the constants
# of errno.h, the types of sys/types.h and sys/uio.h, memcpy, and what C++ needs to say
# the same things.
PUBLIC_MAY_INCLUDE = {
    'stddef.h', 'stdint.h', 'stdbool.h', 'stdarg.h', 'limits.h', 'float.h', 'errno.h',
    'string.h', 'sys/types.h', 'sys/uio.h', 'type_traits', 'utility', 'new', 'tuple',
}


def includes(source):
    for line, m in source.find(r'(?m)^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]'):
        yield line, m.group(1) == '"', m.group(2)


def resolve(tree, source, name):
    """The path in the tree that #include "name" means, or None."""
    for base in (os.path.dirname(source.path), 'src', 'ext', 'include'):
        path = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(tree.root, path)):
            return path
    return None


@rule('layers', 'a folder of src/ includes only what tools/layers.txt allows; others use <tutti/...>')
def check_layers(tree):
    for source in tree.c_files('src'):
        layer = layer_of(source.path)
        if layer is None or layer not in tree.layers:
            tree.finding('layers', source.path, 1, 'its folder is not in tools/layers.txt')
            continue
        if is_test(source.path):
            continue
        for line, quoted, name in includes(source):
            path = resolve(tree, source, name) if quoted else None
            target = layer_of(path) if path else None
            if target and target not in tree.layers[layer]:
                tree.finding('layers', source.path, line,
                             f'{layer} must not include {target} ({name})')
    for source in tree.c_files('include'):
        for line, quoted, name in includes(source):
            if not name.startswith('tutti/') and name not in PUBLIC_MAY_INCLUDE:
                tree.finding('layers', source.path, line,
                             f'a public header must not include {name}')
    for source in tree.c_files('ext', 'apps', 'examples'):
        for line, quoted, name in includes(source):
            path = resolve(tree, source, name) if quoted else None
            if path and path.startswith('src/'):
                tree.finding('layers', source.path, line,
                             f'only <tutti/...> may be used here, not {path}')


# ---------------------------------------------------------------- objects

def nm(path, *options):
    out = subprocess.run(['nm', '-P', *options, path], check=True, capture_output=True,
                         text=True).stdout
    for line in out.split('\n'):
        words = line.split()
        if len(words) >= 2:
            yield words[0].split('@')[0], words[1]


def objects(tree):
    """(source path, object path) of every library object whose source still exists."""
    top = os.path.join(tree.build or '', 'CMakeFiles/tutti_objects.dir')
    for folder, _, names in os.walk(top):
        for name in sorted(names):
            if name.endswith('.o'):
                path = os.path.join(folder, name)
                source = os.path.relpath(path, top)[:-len('.o')]
                if os.path.exists(os.path.join(tree.root, source)):
                    yield source, path


def need_build(tree, name):
    if tree.build and any(True for _ in objects(tree)):
        return True
    tree.finding(name, 'tools/tidy.py', 1, 'needs a built tree: --build DIR')
    return False


# Functions of libc that compute and touch nothing outside: any layer may call them.
PURE = re.compile(
    r'(__)?(mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)|str(n?len|n?cmp|r?chr|str|spn|cspn|pbrk|n?casecmp'
    r'|n?cpy|n?cat|pcpy|tok_r|tol|toll|toul|toull|tod|error_r|errordesc_np|errorname_np)'
    r'|rawmemchr|explicit_bzero|v?snprintf|v?sscanf|xpg_strerror_r'
    r'|inet_(ntop|pton)|isoc99_(v?sscanf|strto\w+)|abs|labs|div|ldiv|bsearch'
    r'|getauxval|ctype_(b|tolower|toupper)_loc|is(alpha|digit|alnum|space|print|xdigit|upper|lower)|to(lower|upper)'
    r'|gmtime_r|timegm|stack_chk_(fail|guard)|tls_get_addr|popcountdi2|isoc23_strto\w+'
    r'|(u)?(div|mod|mul)[dt]i3|f?abs|floor|ceil|pow|log2?|exp2?|sqrt)(_chk)?$'
    r'|_GLOBAL_OFFSET_TABLE_$|__dso_handle$|_DYNAMIC$|__(start|stop)_\w+$|_Unwind_\w+$'
    r'|__(asan|tsan|ubsan|msan|lsan|sanitizer|gcov|aarch64)_\w+$|errno$')

# Calls that are right where they stand. A layer or a file, and what it may call.
GRANTED = {
    'src/base/panic.c': r'(write|abort)$',
    # A signal handler on a broken stack passes no seam that may be broken too.
    'src/fiber/overflow.c': r'(sigaction|sigaltstack|sigemptyset|raise|__errno_location)$',
    # The system's resolver has no interface beneath these; a thread of the DNS lane calls
    # them, and a simulated world answers before it gets here.
    'src/net/lookup.c': r'(getaddrinfo|freeaddrinfo|gai_strerror|__errno_location)$',
    # What tt_main() tells a person when the program ends or dies.
    'src/rt/main.c': r'(fprintf|__fprintf_chk|stderr)$',
    'src/rt/runtime.c': r'(fprintf|__fprintf_chk|stderr)$',
    # The kit runs each test in a process of its own and talks to a person.
    'testing': r'(fork|waitpid|_exit|exit|_Exit|abort|kill|raise|alarm|setitimer|getpid|getppid'
               r'|write|read|close|pipe2?|dup2?|open(64)?|fcntl(64)?|poll|f?printf|puts|putchar|fputs'
               r'|fputc|fwrite|fflush|v?f?printf|v?d?printf|__v?f?d?printf_chk|putc|perror|std(out|err)'
               r'|getenv|secure_getenv|environ|setenv|unsetenv|sig\w+|clock_gettime|setrlimit(64)?'
               r'|getrlimit(64)?|prctl|readdir(64)?|opendir|closedir|readlink|getopt\w*|opt(arg|ind|ind)'
               r'|setpgid|__errno_location|strerror|strsignal|__fdelt_chk|mmap(64)?|munmap|qsort)$',
}


@rule('symbols', 'nm: an undefined symbol resolves to an allowed folder; libc beyond pure functions only in env')
def check_symbols(tree):
    if not need_build(tree, 'symbols'):
        return
    built = list(objects(tree))
    home = {}
    for source, path in built:
        for symbol, kind in nm(path, '-g', '--defined-only'):
            home.setdefault(symbol, source)
    for source, path in built:
        layer = layer_of(source)
        allowed = tree.layers.get(layer, set())
        for symbol, kind in nm(path, '-u'):
            target = home.get(symbol)
            if target is not None:
                if layer_of(target) not in allowed:
                    tree.finding('symbols', source, 1,
                                 f'{layer} must not call {symbol}() of {target}')
            elif layer != 'env' and not PURE.match(symbol):
                if symbol.startswith(('tt_', 'tti_')):
                    tree.finding('symbols', source, where_used(tree, source, symbol),
                                 f'{symbol} is defined nowhere')
                    continue
                granted = GRANTED.get(source) or GRANTED.get(layer)
                if not (granted and re.match(granted, symbol)):
                    tree.finding('symbols', source, where_used(tree, source, symbol),
                                 f'{symbol}: a call to the outside belongs into env/')


def where_used(tree, path, symbol):
    for line, _ in tree.source(path).find(r'\b' + re.escape(symbol) + r'\b'):
        return line
    return 1


# ---------------------------------------------------------------- 2 headers

def compiles_alone(tree, path, command):
    return subprocess.run(command + ['-fsyntax-only', '-I' + os.path.join(tree.root, 'include'),
                                     '-I' + os.path.join(tree.root, 'src'), '-Wall', '-Wextra',
                                     '-Wconversion', '-Wshadow', '-Werror', '-Wno-unused-function',
                                     '-include', os.path.join(tree.root, path), '/dev/null'],
                          capture_output=True, text=True)


@rule('headers', 'every header compiles alone: public ones as C11 and C++17, internal ones as gnu17')
def check_headers(tree):
    jobs = []
    for path in tree.files:
        if not path.endswith('.h'):
            continue
        if is_public(path):
            own = ['-I' + os.path.join(tree.root, re.match(r'(.*?\binclude)/', path).group(1))]
            jobs.append((path, 'C11', [os.environ.get('CC', 'gcc'), '-x', 'c', '-std=c11'] + own))
            jobs.append((path, 'C++17', [os.environ.get('CXX', 'g++'), '-x', 'c++', '-std=c++17'] + own))
        elif path.startswith('src/') and not re.match(r'src/arch/(?!x86_64)[^/]+/', path) \
                and not path.endswith('_model.h'):
            jobs.append((path, 'gnu17', [os.environ.get('CC', 'gcc'), '-x', 'c', '-std=gnu17',
                                         '-D_GNU_SOURCE=']))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda job: compiles_alone(tree, job[0], job[2]), jobs)
        for (path, language, _), result in zip(jobs, results):
            if result.returncode != 0:
                message = [l for l in result.stderr.split('\n') if 'error' in l][:1]
                tree.finding('headers', path, 1, f'does not compile alone as {language}: '
                             + (message[0].strip() if message else 'see the compiler'))


# ---------------------------------------------------------------- 3 exports

def shared_library(tree):
    path = os.path.join(tree.build or '', 'lib/libtutti.so')
    return path if tree.build and os.path.exists(path) else None


def exported(tree):
    return sorted(s for s, kind in nm(shared_library(tree), '-D', '--defined-only')
                  if kind in 'TDBRVWGSi' and not s.startswith(('_init', '_fini', '__bss', '_edata', '_end')))


@rule('exports', 'libtutti.so exports exactly tools/api.txt, all ^tt_; other globals are ^tti_; what is declared exists')
def check_exports(tree):
    if not need_build(tree, 'exports'):
        return
    api = 'tools/api.txt'
    if shared_library(tree) is None:
        tree.finding('exports', api, 1, 'lib/libtutti.so is not built')
        return
    found = exported(tree)
    listed = []
    if os.path.exists(os.path.join(tree.root, api)):
        listed = [l for l in tree.source(api).text.split('\n') if l and not l.startswith('#')]
    fresh = sorted(set(found) - set(listed))
    if fresh:
        shown = ' '.join(fresh[:12]) + (f' and {len(fresh) - 12} more' if len(fresh) > 12 else '')
        tree.finding('exports', api, 1, f'exported but not listed: {shown} (--update-api)')
    for symbol in sorted(set(listed) - set(found)):
        tree.finding('exports', api, listed.index(symbol) + 1, f'listed but not exported: {symbol}')
    for symbol in found:
        if not symbol.startswith('tt_'):
            tree.finding('exports', api, 1, f'exported names begin with tt_: {symbol}')
    for source, path in objects(tree):
        for symbol, kind in nm(path, '-g', '--defined-only'):
            if symbol not in found and not re.match(r'tti_|__(asan|tsan|ubsan|odr_asan)|DW\.ref', symbol):
                tree.finding('exports', source, where_used(tree, source, symbol),
                             f'a global that is not exported begins with tti_: {symbol}')
    for declaration in declarations(tree):
        if declaration.path.startswith('include/') and declaration.external and declaration.name not in found:
            tree.finding('exports', declaration.path, declaration.line,
                         f'{declaration.name}() is declared but libtutti.so does not export it')


# ---------------------------------------------------------------- 4 docs

FIELDS = ['Blocks', 'Returns', 'Cancelled', 'Errors', 'Ownership', 'Threads']


class Declaration:
    def __init__(self, path, line, name, text, offset):
        self.path, self.line, self.name, self.offset = path, line, name, offset
        self.external = 'static' not in text.split('(')[0].split()
        before = text[:text.index(name)]
        self.returns = re.search(r'\bvoid\s*\(?\s*$', before) is None


class DocComment:
    """A block comment that begins with names and " - "."""

    def __init__(self, first, last, text):
        self.line, self.last = first, last
        body = [re.sub(r'^\s*/?\*+/?\s?', '', l) for l in text.rstrip('*/').split('\n')]
        body = [l.rstrip() for l in body]
        while body and not body[0]:
            body.pop(0)
        joined = ' '.join(body)
        title = re.match(r'((?:tt_\w+(?:\(\))?[\s,]*(?:and\s+)?)+)[ ]-[ ]', joined)
        self.names = re.findall(r'tt_\w+', title.group(1)) if title else []
        self.fields = []
        for l in body:
            m = re.match(r'([A-Z][a-z]+)(?: {2,}|\t+)(\S.*)', l)
            if m and m.group(1) in FIELDS:
                self.fields.append((m.group(1), m.group(2)))

    def field(self, name):
        return dict(self.fields).get(name)


def doc_comments(source):
    source.code         # fills .comments
    found = [DocComment(*c) for c in source.comments if c[2].startswith('/*')]
    return [d for d in found if d.names]


def top_level_statements(source):
    """(offset, text) of each statement outside of braces; extern "C" braces do not count."""
    code = re.sub(r'(?m)^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', lambda m: re.sub(r'[^\n]', ' ', m.group()),
                  source.code)
    code = re.sub(r'TT_(BEGIN|END)_DECLS', lambda m: ' ' * len(m.group()), code)
    code = re.sub(r'extern\s*"\s*"\s*\{', lambda m: re.sub(r'[^\n]', ' ', m.group()), code)
    start, depth = 0, 0
    for i, c in enumerate(code):
        if c == '{':
            if depth == 0:
                yield start, code[start:i]
            depth += 1
        elif c == '}':
            depth = max(0, depth - 1)
            if depth == 0:
                start = i + 1
        elif c == ';' and depth == 0:
            yield start, code[start:i]
            start = i + 1


def declarations(tree):
    for source in (tree.source(p) for p in tree.files if is_public(p)):
        for start, text in top_level_statements(source):
            if re.match(r'\s*(typedef|struct\s+\w+\s*$|union\s+\w+\s*$|enum\b)', text):
                continue
            if '=' in text:
                continue
            depth = 0
            for m in re.finditer(r'\((?:tt_\w+)\)\s*(?=\()|\b(tt_\w+)\s*(?=\()|[()]', text):
                token = m.group()
                if token in '()':
                    depth += 1 if token == '(' else -1
                elif depth == 0:
                    name = re.search(r'tt_\w+', token).group()
                    if not name.endswith('_'):
                        offset = start + m.start()
                        yield Declaration(source.path, source.line_of(offset), name, text, offset)


def doc_of(source, declaration):
    """The last doc comment above a declaration."""
    above = [d for d in doc_comments(source) if d.last <= declaration.line]
    return above[-1] if above else None


@rule('docs', 'every function of include/ has a comment "name - ..." with its fields in order')
def check_docs(tree):
    for declaration in declarations(tree):
        source = tree.source(declaration.path)
        doc = doc_of(source, declaration)
        where = (declaration.path, declaration.line)
        if doc is None or declaration.name not in doc.names:
            tree.finding('docs', *where, f'{declaration.name}(): no comment "{declaration.name} - ..." above')
            continue
        names = [f for f, _ in doc.fields]
        if names != sorted(names, key=FIELDS.index):
            tree.finding('docs', *where, f'{declaration.name}(): fields are in the order ' + ' '.join(FIELDS))
        blocks = doc.field('Blocks')
        if blocks is None or not re.match(r'(yes|no)\b', blocks):
            tree.finding('docs', *where, f'{declaration.name}(): no field "Blocks     yes..." or "no..."')
        if declaration.returns and doc.field('Returns') is None:
            tree.finding('docs', *where, f'{declaration.name}(): no field "Returns"')
        if blocks and blocks.startswith('yes') and doc.field('Cancelled') is None:
            tree.finding('docs', *where, f'{declaration.name}(): blocks, but has no field "Cancelled"')


# ---------------------------------------------------------------- 5 atomics

ATOMIC = re.compile(r'\btti_(?:load|store|exchange|cas|fetch_[a-z]+|fence)_'
                    r'(relaxed|acquire|release|acq_rel|seq_cst)\s*\(')


def comment_near(source, line, above):
    """The text of every comment that touches the line or the few lines above it."""
    source.code
    return ' '.join(text for first, last, text in source.comments
                    if last >= line - above and first <= line)


@rule('atomics', 'a non-relaxed atomic says "pairs with", a relaxed one "relaxed:", in the 4 lines above')
def check_atomics(tree):
    for source in tree.c_files('src', 'ext', 'apps', tests=False):
        name = os.path.basename(source.path)
        if name in ('atomic.h', 'atomic_model.h'):
            continue
        for line, m in source.find(r'\b__(atomic|sync)_\w+'):
            if layer_of(source.path) is not None:
                tree.finding('atomics', source.path, line, f'{m.group()}: atomics go through base/atomic.h')
            # ext/ and apps/ see the public headers only: the builtins, with the same comments.
            elif not re.search(r'pairs with|relaxed:', comment_near(source, line, 4)):
                tree.finding('atomics', source.path, line, f'{m.group()}: say what it pairs with, or "relaxed:" and why')
        for line, m in source.find(ATOMIC):
            text = comment_near(source, line, 4).lower()
            if m.group(1) == 'relaxed':
                if 'relaxed:' not in text:
                    tree.finding('atomics', source.path, line, 'a relaxed access without "relaxed: why"')
            elif not re.search(r'pairs[\s*]+with', text):
                tree.finding('atomics', source.path, line, f'{m.group(1)} without "pairs with ..."')


# ---------------------------------------------------------------- 6 bans

CALL = r'(?<![\w.>])(?<!->)({names})\s*\('
HEAP = 'malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|aligned_alloc' \
       '|posix_memalign|alloca|mmap|munmap'
BLOCKING = 'sleep|usleep|nanosleep|clock_nanosleep|poll|ppoll|select|pselect|epoll_wait|epoll_pwait' \
           '|recv|recvfrom|recvmsg|send|sendto|sendmsg|accept|accept4|connect|getaddrinfo|fsync' \
           '|fdatasync|waitpid|fork|system|popen'


def bans():
    """(pattern, where(path) -> bool, text)"""
    def everywhere(path):
        return True

    def runtime(path):
        return layer_of(path) not in (None, 'env', 'testing') and not is_test(path)

    def workers(path):
        # lookup.c runs on a thread of the blocking pool.
        return runtime(path) and path != 'src/net/lookup.c'

    def tests(path):
        return is_test(path)

    def product(path):
        return not is_test(path)

    return [
        (r'<stdatomic\.h>', everywhere, '<stdatomic.h>: use base/atomic.h'),
        (r'\b_Atomic\b', everywhere, '_Atomic does not compile in C++'),
        (r'(?<![\w.>])_?(sig)?(set|long)jmp\b', everywhere, 'setjmp and longjmp cannot cross stacks'),
        (r'<(pthread|semaphore|threads)\.h>|\bpthread_\w+', runtime, 'threads belong into env/'),
        (CALL.format(names=HEAP), runtime, 'memory is asked of env/'),
        (CALL.format(names=BLOCKING), workers, 'a call that blocks the worker'),
        (CALL.format(names='gets|strcpy|strcat|sprintf|vsprintf'), product, 'has no bound'),
        (CALL.format(names='sleep|usleep|nanosleep|clock_nanosleep'), tests,
         'tests take no real time (mark the file test-labels: wall where it must)'),
    ]


def defines(source, name):
    """A file's own static function of that name is not libc's."""
    return re.search(r'(?m)^static\b[^;=(]*\b' + re.escape(name) + r'\(', source.code) is not None


@rule('bans', 'no <stdatomic.h>, _Atomic, setjmp; heap, threads and blocking calls only in env; no sleep in tests; no FIXME')
def check_bans(tree):
    table = bans()
    marker = re.compile(r'\b(FIX' r'ME|TO' r'DO|XX' r'X|HA' r'CK)\b')
    for source in tree.c_files('src', 'include', 'ext', 'apps', 'examples', 'bench', 'tests', 'tools'):
        # Programs that must not compile, and those of the peers we compare with.
        if source.path.startswith(('tests/headers/bad_', 'bench/compare/')):
            continue
        wall = re.search(r'test-labels:.*\bwall\b', source.text)
        for pattern, where, text in table:
            if not where(source.path) or (wall and 'real time' in text):
                continue
            for line, m in source.find(pattern):
                name = m.group().strip(' (\t')
                if not defines(source, name):
                    tree.finding('bans', source.path, line, f'{name}: {text}')
        for number, line in enumerate(source.lines, 1):
            if marker.search(line):
                tree.finding('bans', source.path, number, 'finish it or file an issue: ' + line.strip()[:60])


# ---------------------------------------------------------------- 7 unused

@rule('unused', 'every header is included, every tool and document is mentioned, every source is built')
def check_unused(tree):
    texts = {p: tree.source(p).text for p in tree.files if not binary(p)}
    for path in tree.files:
        name = os.path.basename(path)
        if path.endswith('.h') and path.startswith(('src/', 'include/', 'ext/', 'apps/', 'tests/', 'bench/')):
            if not any(re.search(r'#\s*include\s*[<"](?:[^>"]*/)?' + re.escape(name) + '[>"]', t)
                       for p, t in texts.items() if p != path):
                tree.finding('unused', path, 1, 'no file includes this header')
        elif path.startswith('tools/') or (path.startswith('docs/') and path.endswith('.md')):
            stem = os.path.splitext(name)[0]
            if not any(name in t or ('tools/check/' in path and re.search(r'\b%s\b' % re.escape(stem), t))
                       for p, t in texts.items() if p != path):
                tree.finding('unused', path, 1, 'no other file mentions it')
        elif path.startswith('src/') and path.endswith(('.c', '.S')):
            if not re.match(r'src/[^/]+/[^/]+\.c$|src/arch/[^/]+/[^/]+\.[cS]$', path):
                tree.finding('unused', path, 1, 'CMake builds src/LAYER/*.c and src/arch/CPU/*.S only')


def binary(path):
    return path.endswith(('.png', '.ico', '.woff2', '.gz', '.db', '.bin'))


# ---------------------------------------------------------------- 8 length

def long_functions(tree):
    """(lines, path, line) of each function over 70 lines, the longest first."""
    found = []
    for source in tree.c_files('src', 'ext', 'apps'):
        start = None
        for number, line in enumerate(source.code.split('\n'), 1):
            if line == '{':
                start = number
            elif line.startswith('}') and start is not None:
                if number - start - 1 > 70:
                    found.append((number - start - 1, source.path, start - 1))
                start = None
    return sorted(found, reverse=True)


@rule('length', 'functions over 70 lines are reported, never a failure')
def check_length(tree):
    found = long_functions(tree)
    for length, path, line in found:
        print(f'{path}:{line}: length: {length} lines (reported only)')
    if found:
        print(f'length: {len(found)} functions over 70 lines, the longest {found[0][0]}')


# ---------------------------------------------------------------- 9 changelog

@rule('changelog', 'the top entry of CHANGELOG.md is the version of include/tutti/base.h')
def check_changelog(tree):
    path = 'include/tutti/base.h'
    m = re.search(r'#define TT_VERSION "([^"]+)"', tree.source(path).text) if path in tree.files else None
    version = m.group(1) if m else None
    if version is None:
        tree.finding('changelog', path, 1, 'no TT_VERSION')
        return
    parts = re.findall(r'#define TT_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)', tree.source(path).text)
    if parts and '.'.join(parts) != version:
        tree.finding('changelog', path, 1, f'TT_VERSION is {version}, its parts are {".".join(parts)}')
    if 'CHANGELOG.md' not in tree.files:
        tree.finding('changelog', 'CHANGELOG.md', 1, 'does not exist')
        return
    for number, line in enumerate(tree.source('CHANGELOG.md').lines, 1):
        m = re.match(r'##\s+\[?v?(\d+\.\d+\.\d+)', line)
        if m:
            if m.group(1) != version:
                tree.finding('changelog', 'CHANGELOG.md', number,
                             f'the top entry is {m.group(1)}, the version is {version}')
            return
    tree.finding('changelog', 'CHANGELOG.md', 1, 'has no entry "## 1.2.3"')


# ---------------------------------------------------------------- 10 torture

@rule('torture', 'every public function marked "Blocks     yes" is in the torture table')
def check_torture(tree):
    table = set()
    for source in tree.c_files('src', 'tests', 'ext'):
        for _, m in source.find(r'(?<!define )\b(?:TT_)?TORTURE(?:_CASE)?\(\s*(tt_\w+)'):
            table.add(m.group(1))
    for declaration in declarations(tree):
        if not declaration.path.startswith('include/'):
            continue
        doc = doc_of(tree.source(declaration.path), declaration)
        if doc is None or declaration.name not in doc.names:
            continue
        if (doc.field('Blocks') or '').startswith('yes') and declaration.name not in table:
            tree.finding('torture', declaration.path, declaration.line,
                         f'{declaration.name}() blocks but has no TT_TORTURE_CASE')


# ---------------------------------------------------------------- 11 spdx

@rule('spdx', 'every source file states its licence in its first lines')
def check_spdx(tree):
    for path in tree.files:
        if not path.endswith(('.c', '.h', '.S', '.cc', '.cpp', '.py', '.sh', '.cmake')) \
                and os.path.basename(path) not in ('CMakeLists.txt', 'dev', 'run'):
            continue
        if path.startswith('third_party/'):
            continue
        if 'SPDX-License-Identifier: MIT' not in '\n'.join(tree.source(path).lines[:3]):
            tree.finding('spdx', path, 1, 'no SPDX-License-Identifier: MIT in its first three lines')


# ---------------------------------------------------------------- self-test

SPDX = '/* SPDX-License-Identifier: MIT */\n'
GOOD = {
    'include/tutti/base.h': SPDX + '#ifndef B\n#define B\n#define TT_VERSION "0.1.0"\n'
                            '#define TT_API __attribute__((visibility("default")))\n#endif\n',
    'include/tutti/nap.h': SPDX + '#ifndef N\n#define N\n#include <tutti/base.h>\n#ifdef __cplusplus\n'
                           'extern "C" {\n#endif\n'
                           '/*\n * tt_nap, tt_doze - sleep a little\n *\n * Blocks     yes; a checkpoint\n'
                           ' * Returns    0\n * Cancelled  TT_ECANCELED\n */\n'
                           'TT_API int tt_nap(int n);\nTT_API int tt_doze(int n);\n'
                           '#ifdef __cplusplus\n}\n#endif\n#endif\n',
    'src/base/low.c': SPDX + '#include "low.h"\nint tti_low(void)\n{\n\treturn 1;\n}\n',
    'src/base/low.h': SPDX + '#ifndef L\n#define L\nint tti_low(void);\n#endif\n',
    'src/wait/nap.c': SPDX + '#include <tutti/nap.h>\n#include "base/low.h"\n'
                      'int tt_nap(int n)\n{\n\treturn n + tti_low();\n}\n'
                      'int tt_doze(int n)\n{\n\treturn tt_nap(n);\n}\n',
    'src/wait/nap_test.c': SPDX + '#include "wait/high.h"\nTT_TORTURE_CASE(tt_nap)\nTT_TORTURE_CASE(tt_doze)\n',
    'src/wait/high.h': SPDX + '#ifndef H\n#define H\nint tti_high(void);\n#endif\n',
    'src/env/mem.c': SPDX + '#include <stdlib.h>\nvoid *tti_mem(void);\nvoid *tti_mem(void)\n{\n\treturn malloc(1);\n}\n',
    'tools/layers.txt': 'base:\nenv: base\nwait: base env\n',
    'tools/api.txt': 'tt_doze\ntt_nap\n',
    'CHANGELOG.md': '# Changes\n\n## 0.1.0\n\nlayers.txt api.txt\n',
}
# rule, what the finding must contain, the file that makes the tree bad (None: not there)
BAD = [
    ('layers', 'base must not include wait', {'src/base/low.c': GOOD['src/base/low.c'] + '#include "wait/high.h"\n'}),
    ('layers', 'not in tools/layers.txt', {'src/extra/x.c': SPDX}),
    ('layers', 'public header must not include', {'include/tutti/nap.h': GOOD['include/tutti/nap.h'] + '#include <stdio.h>\n'}),
    ('layers', 'only <tutti/...>', {'examples/e.c': SPDX + '#include "../src/base/low.h"\n'}),
    ('symbols', 'must not call tti_high', {
        'src/wait/high.c': SPDX + '#include "high.h"\nint tti_high(void)\n{\n\treturn 2;\n}\n',
        'src/base/low.c': SPDX + 'extern int tti_high(void);\nint tti_low(void);\nint tti_low(void)\n{\n\treturn tti_high();\n}\n'}),
    ('symbols', 'usleep: a call to the outside', {
        'src/wait/nap.c': GOOD['src/wait/nap.c'].replace('#include', '#include <unistd.h>\n#include', 1)
                          .replace('return n', 'return usleep(1) + n')}),
    ('symbols', 'malloc: a call to the outside', {
        'src/base/low.c': SPDX + '#include <stdlib.h>\nint tti_low(void);\nint tti_low(void)\n{\n\treturn malloc(3) != 0;\n}\n'}),
    ('symbols', 'tti_gone is defined nowhere', {
        'src/base/low.c': SPDX + 'int tti_gone(void);\nint tti_low(void);\nint tti_low(void)\n{\n\treturn tti_gone();\n}\n'}),
    ('headers', 'does not compile alone as C++17', {
        'include/tutti/cc.h': SPDX + 'static inline int *tt_cc_(void *p) { return p; }\n'}),
    ('headers', 'does not compile alone as gnu17', {'src/wait/high.h': SPDX + 'size_t tti_high(void);\n'}),
    ('exports', 'exported but not listed: tt_doze', {'tools/api.txt': 'tt_nap\n'}),
    ('exports', 'listed but not exported: tt_snore', {'tools/api.txt': 'tt_doze\ntt_nap\ntt_snore\n'}),
    ('exports', 'exported names begin with tt_', {
        'src/base/low.c': GOOD['src/base/low.c'] + '__attribute__((visibility("default"))) int other;\n'}),
    ('exports', 'begins with tti_: helper', {
        'src/base/low.c': GOOD['src/base/low.c'] + 'int helper(void);\nint helper(void)\n{\n\treturn 0;\n}\n'}),
    ('exports', 'does not export it', {
        'src/wait/nap.c': GOOD['src/wait/nap.c'].replace('tt_doze', 'tti_doze')
                          .replace('int tti_doze', 'int tti_doze(int n);\nint tti_doze')}),
    ('docs', 'no comment "tt_doze', {'include/tutti/nap.h': GOOD['include/tutti/nap.h'].replace('tt_nap, tt_doze -', 'tt_nap -')}),
    ('docs', 'no comment "tt_ext_nap', {'ext/x/include/tutti/ext/x.h': SPDX + 'int tt_ext_nap(int n);\n'}),
    ('headers', 'ext/x/include', {'ext/x/include/tutti/ext/x.h': SPDX + 'size_t tt_x_(void);\n'}),
    ('docs', 'no field "Blocks', {'include/tutti/nap.h': GOOD['include/tutti/nap.h'].replace(' * Blocks     yes; a checkpoint\n', '')}),
    ('docs', 'no field "Returns"', {'include/tutti/nap.h': GOOD['include/tutti/nap.h'].replace(' * Returns    0\n', '')}),
    ('docs', 'no field "Cancelled"', {'include/tutti/nap.h': GOOD['include/tutti/nap.h'].replace(' * Cancelled  TT_ECANCELED\n', '')}),
    ('docs', 'fields are in the order', {'include/tutti/nap.h': GOOD['include/tutti/nap.h'].replace(
        ' * Returns    0\n * Cancelled  TT_ECANCELED\n', ' * Cancelled  TT_ECANCELED\n * Returns    0\n')}),
    ('atomics', 'release without', {'src/base/a.c': SPDX + 'void f(void)\n{\n\ttti_store_release(&x, 1);\n}\n'}),
    ('atomics', 'relaxed access without', {
        'src/base/a.c': SPDX + 'void f(void)\n{\n\t/* pairs with nothing */\n\ttti_load_relaxed(&x);\n}\n'}),
    ('atomics', 'acquire without', {
        'src/base/a.c': SPDX + '/* Pairs with g(). */\n\n\n\n\n\nvoid f(void)\n{\n\ttti_load_acquire(&x);\n}\n'}),
    ('atomics', 'go through base/atomic.h', {'src/base/a.c': SPDX + 'int f(int *p)\n{\n\treturn __atomic_load_n(p, 0);\n}\n'}),
    ('bans', 'stdatomic', {'src/base/a.c': SPDX + '#include <stdatomic.h>\n'}),
    ('bans', '_Atomic', {'include/tutti/a.h': SPDX + 'extern _Atomic int tt_x;\n'}),
    ('bans', 'longjmp', {'apps/x/a.c': SPDX + 'void f(void)\n{\n\tlongjmp(b, 1);\n}\n'}),
    ('bans', 'malloc: memory', {'src/wait/a.c': SPDX + 'void *f(void)\n{\n\treturn malloc(1);\n}\n'}),
    ('bans', 'pthread_self', {'src/wait/a.c': SPDX + 'void f(void)\n{\n\tpthread_self();\n}\n'}),
    ('bans', 'blocks the worker', {'src/wait/a.c': SPDX + 'void f(void)\n{\n\tpoll(0, 0, 1);\n}\n'}),
    ('bans', 'no real time', {'src/wait/a_test.c': SPDX + 'void f(void)\n{\n\tsleep(1);\n}\n'}),
    ('bans', 'has no bound', {'apps/x/a.c': SPDX + 'void f(char *p)\n{\n\tstrcpy(p, p);\n}\n'}),
    ('bans', 'finish it', {'src/wait/a.c': SPDX + '/* FIX' 'ME: later */\n'}),
    ('unused', 'no file includes', {'src/base/lonely.h': SPDX}),
    ('unused', 'no other file mentions', {'tools/lonely.sh': '# SPDX-License-Identifier: MIT\n'}),
    ('unused', 'CMake builds', {'src/base/deep/x.c': SPDX}),
    ('changelog', 'the top entry is 0.0.9', {'CHANGELOG.md': '## 0.0.9\n'}),
    ('changelog', 'does not exist', {'CHANGELOG.md': None}),
    ('changelog', 'has no entry', {'CHANGELOG.md': 'soon\n'}),
    ('torture', 'tt_doze() blocks', {'src/wait/nap_test.c': GOOD['src/wait/nap_test.c'].replace('TT_TORTURE_CASE(tt_doze)\n', '')}),
    ('spdx', 'no SPDX', {'src/wait/plain.c': 'int tti_x;\n'}),
]
# What must not be reported although it looks like it.
LOOKALIKES = {
    'src/wait/look.c': SPDX + '/* malloc() and pthread_create() in a comment; sleep(1) too */\n'
                       'const char *tti_look(struct ops *o)\n{\n\to->free(o);\n\to->send(1);\n\tmy_malloc(2);\n'
                       '\t/* release: all of it is written.\n\t * Pairs\n\t * with the acquire in other(). */\n'
                       '\ttti_store_release(&x, 1);\n'
                       '\treturn "malloc(1) _Atomic longjmp";\n}\n',
}


def write_tree(root, files):
    for path, text in files.items():
        if text is None:
            continue
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w', encoding='utf-8') as f:
            f.write(text)


def build_tree(root, files):
    """The objects and the shared library, laid out as CMake does."""
    build = os.path.join(root, 'build')
    found = []
    for path in files:
        if path.startswith('src/') and path.endswith('.c') and not is_test(path):
            target = os.path.join(build, 'CMakeFiles/tutti_objects.dir', path + '.o')
            os.makedirs(os.path.dirname(target), exist_ok=True)
            subprocess.run(['gcc', '-fPIC', '-fvisibility=hidden', '-w', '-I', os.path.join(root, 'include'),
                            '-I', os.path.join(root, 'src'), '-c', os.path.join(root, path), '-o', target], check=True)
            found.append(target)
    os.makedirs(os.path.join(build, 'lib'), exist_ok=True)
    subprocess.run(['gcc', '-shared', '-o', os.path.join(build, 'lib/libtutti.so')] + found, check=True)
    return build


def run_rule(name, files):
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, files)
        build = build_tree(root, files) if name in ('symbols', 'exports') else None
        tree = Tree(root, build)
        RULES[name][0](tree)
        return [f'{path}:{line}: {text}' for _, path, line, text in tree.findings]


def self_test():
    failed = 0

    def expect(ok, text):
        nonlocal failed
        if not ok:
            failed += 1
            print('self-test: ' + text)

    cases = [(n, None, GOOD) for n in RULES] + [
        (n, None, {**GOOD, **LOOKALIKES}) for n in ('bans', 'atomics')] + [
        (n, text, {**GOOD, **change}) for n, text, change in BAD]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda case: run_rule(case[0], case[2]), cases))
    for (name, text, _), found in zip(cases, results):
        if text is None:
            expect(not found, f'{name}: the good tree gives {found}')
        else:
            expect(any(text in f for f in found), f'{name}: "{text}" was not reported, but {found}')
    with tempfile.TemporaryDirectory() as root:
        body = '\tx++;\n'
        write_tree(root, {'src/base/a.c': f'int f(void)\n{{\n{body * 71}}}\nint g(void)\n{{\n{body * 70}}}\n'})
        expect(long_functions(Tree(root)) == [(71, 'src/base/a.c', 1)], 'length: 71 lines are not reported')
    untested = set(RULES) - {n for n, _, _ in BAD} - {'length'}
    expect(not untested, f'no bad tree for {sorted(untested)}')
    print(f'self-test: {len(cases)} trees, {failed} failed')
    return 1 if failed else 0


# ---------------------------------------------------------------- main

def update_api(tree):
    if shared_library(tree) is None:
        print('tidy: --update-api needs --build DIR with lib/libtutti.so', file=sys.stderr)
        return 2
    names = exported(tree)
    with open(os.path.join(tree.root, 'tools/api.txt'), 'w', encoding='utf-8') as f:
        f.write(''.join(n + '\n' for n in names))
    print(f'tools/api.txt: {len(names)} names')
    return 0


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description='The mechanical checks of STYLE.md.')
    parser.add_argument('--root', default=here)
    parser.add_argument('--build', help='a built tree, as build/dev')
    parser.add_argument('--only', help='these rules, comma-separated')
    parser.add_argument('--self-test', action='store_true')
    parser.add_argument('--update-api', action='store_true')
    parser.add_argument('--list', action='store_true')
    args = parser.parse_args()

    if args.list:
        for name, (_, about) in RULES.items():
            print(f'{name:10} {about}')
        return 0
    if args.self_test:
        return self_test()
    build = args.build or os.path.join(args.root, 'build/dev')
    tree = Tree(args.root, os.path.abspath(build))
    if args.update_api:
        return update_api(tree)
    names = args.only.split(',') if args.only else list(RULES)
    for name in names:
        if name not in RULES:
            print(f'tidy: no rule "{name}"; they are: {" ".join(RULES)}', file=sys.stderr)
            return 2
        RULES[name][0](tree)
    for name, path, line, text in tree.findings:
        print(f'{path}:{line}: {name}: {text}')
    counts = {n: sum(1 for f in tree.findings if f[0] == n) for n in names}
    print('tidy: ' + ', '.join(f'{n} {c}' for n, c in counts.items()))
    return 1 if tree.findings else 0


if __name__ == '__main__':
    sys.exit(main())
