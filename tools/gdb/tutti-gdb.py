# SPDX-License-Identifier: MIT
"""tutti-gdb.py - the tasks of a program on tutti, in gdb: of a process or of a core file.

    (gdb) source tutti-gdb.py
    (gdb) tutti tasks          the live tree: names, states, what each waits for, since when
    (gdb) tutti bt 17          the stack of task number 17
    (gdb) tutti bt all         every stack

The process need not answer, nor does anything run in it: a worker that is held by a task
that does not yield is seen as it stands. Works without debug information: fields are found
through the table tt_inspect_ (src/rt/inspect.c), stacks through call frame information.
"""

import gdb
from gdb.unwinder import Unwinder

STATES = ('unstarted', 'ready', 'running', 'parked', 'done')
CANCELLED, STOPPING = 1, 2


# ---------------------------------------------------------------- memory

def read(address, size, signed=False):
    data = gdb.selected_inferior().read_memory(address, size).tobytes()
    return int.from_bytes(data, 'little', signed=signed)


def pointer(address):
    return read(address, 8)


def text_at(address):
    if address == 0:
        return ''
    out = b''
    while len(out) < 256:
        byte = gdb.selected_inferior().read_memory(address + len(out), 1).tobytes()
        if byte == b'\0':
            break
        out += byte
    return out.decode(errors='replace')


class Layout:
    """Where the fields of the library's structures lie in this program."""

    def __init__(self):
        try:
            base = int(gdb.parse_and_eval('(unsigned long)&tt_inspect_'))
        except gdb.error:
            raise gdb.GdbError('this program has no tutti in it, or none that can be inspected')
        magic = text_at(base)
        if magic != 'tutti-1':
            raise gdb.GdbError(f'tt_inspect_ says {magic!r}; this script reads tutti-1')
        self.runtime = pointer(base + 8)
        self.offsets = {}
        at = base + 16
        while (name := text_at(at)) != '':
            self.offsets[name] = read(at + 28, 4)
            at += 32

    def __getitem__(self, name):
        return self.offsets[name]


# ---------------------------------------------------------------- tasks

class Task:
    def __init__(self, layout, address, worker, now):
        def field(name, size=8):
            return read(address + layout[f'tt_task.{name}'], size)

        self.worker = worker
        self.id, self.parent = field('id'), field('parent_id')
        self.name, self.site = text_at(field('name')), text_at(field('spawn_site'))
        state = field('state', 4)
        self.state = STATES[state] if state < len(STATES) else f'state {state}'
        self.cancel = field('cancel_bits', 4)
        self.sp = self.waits_for = 0
        waiting, fiber = field('waiting'), field('fiber')
        if self.state == 'parked' and waiting != 0:
            self.waits_for = self.reason(layout, waiting, now - field('parked_since'))
        if self.state in ('parked', 'ready') and fiber != 0:
            self.sp = pointer(fiber + layout['tti_fiber.ctx.sp'])

    @staticmethod
    def reason(layout, waiter, ns):
        verb = text_at(pointer(waiter + layout['tti_waiter.reason.verb']))
        thing = pointer(waiter + layout['tti_waiter.reason.object'])
        site = text_at(pointer(waiter + layout['tti_waiter.reason.site']))
        return (verb + (f' {thing:#x}' if thing else '') + f' for {max(ns, 0) / 1e9:.3f} s'
                + (f' at {site}' if site else ''))

    def __str__(self):
        line = f'{self.name}#{self.id} {self.state} on worker {self.worker}'
        if self.waits_for:
            line += f', {self.waits_for}'
        if self.cancel & CANCELLED:
            line += ', cancelled'
        elif self.cancel & STOPPING:
            line += ', stopping'
        return line + f', spawned at {self.site or "?"}'


def tasks_of_worker(layout, home):
    index = read(home + layout['tti_home.index'], 4)
    now = read(home + layout['tti_home.now'], 8, signed=True)
    head = home + layout['tti_home.tasks']
    link = pointer(head)
    while link not in (head, 0):
        yield Task(layout, link - layout['tt_task.all_link'], index, now)
        link = pointer(link)


def all_tasks():
    layout = Layout()
    if layout.runtime == 0:
        raise gdb.GdbError('no runtime runs in this program')
    workers = pointer(layout.runtime + layout['tti_runtime.workers'])
    found = []
    for i in range(read(layout.runtime + layout['tti_runtime.n_workers'], 4)):
        # A home is the first member of its worker.
        found += tasks_of_worker(layout, pointer(workers + 8 * i))
    return sorted(found, key=lambda t: t.id)


# ---------------------------------------------------------------- stacks

# Where tti_switch() leaves each register, in words from the saved stack pointer, and how
# far it moves the stack pointer (src/arch/*/switch.S).
SAVED = {
    'i386:x86-64': ({'r15': 0, 'r14': 1, 'r13': 2, 'r12': 3, 'rbx': 4, 'rbp': 5, 'rip': 6}, 'rsp', 7),
    'aarch64': ({**{f'x{19 + n}': n for n in range(10)}, 'x29': 10, 'x30': 11, 'pc': 11}, 'sp', 20),
}


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class ParkedUnwinder(Unwinder):
    """While a task is chosen, the caller of the thread's innermost frame is the place where
    that task left its stack: so gdb walks it, without a register written anywhere."""

    def __init__(self):
        super().__init__('tutti parked task')
        self.sp = 0         # of the chosen task; 0: none
        self.innermost = 0  # stack pointer of the frame that stands for tti_switch

    def __call__(self, frame):
        registers, sp_name, size = SAVED.get(frame.architecture().name(), (None, None, 0))
        if self.sp == 0 or registers is None or int(frame.read_register(sp_name)) != self.innermost:
            return None
        word = gdb.lookup_type('unsigned long')
        # An id below all of the stack: gdb takes a caller that lies lower for a corrupt one.
        info = frame.create_unwind_info(FrameId(gdb.Value(self.sp - 64).cast(word),
                                                frame.read_register('pc')))
        for name, at in registers.items():
            info.add_saved_register(name, gdb.Value(pointer(self.sp + 8 * at)).cast(word))
        info.add_saved_register(sp_name, gdb.Value(self.sp + 8 * size).cast(word))
        return info


unwinder = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def frames_of(task):
    """The frames of a task that is not running, innermost first."""
    innermost = gdb.newest_frame()
    unwinder.innermost = int(innermost.read_register('sp'))
    unwinder.sp = task.sp
    gdb.invalidate_cached_frames()
    try:
        frame = gdb.newest_frame().older()
        while frame is not None and frame.is_valid():
            sal = frame.find_sal()
            where = f' at {sal.symtab.filename}:{sal.line}' if sal.symtab else ''
            yield f'{frame.pc():#x} in {frame.name() or "??"}{where}'
            frame = frame.older()
    finally:
        unwinder.sp = 0
        gdb.invalidate_cached_frames()


def print_stack(task):
    print(task)
    if task.sp == 0:
        where = 'it runs: see its worker among the threads' if task.state == 'running' else 'it has no stack'
        print(f'    ({where})')
        return
    for n, frame in enumerate(list(frames_of(task))):
        print(f'    #{n} {frame}')


# ---------------------------------------------------------------- commands

class Tutti(gdb.Command):
    """Look at the tasks of a program on tutti."""

    def __init__(self):
        super().__init__('tutti', gdb.COMMAND_STACK, prefix=True)


class TuttiTasks(gdb.Command):
    """The live tree of tasks: tutti tasks"""

    def __init__(self):
        super().__init__('tutti tasks', gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        tasks = all_tasks()
        ids = {t.id for t in tasks}
        print(f'{len(tasks)} tasks')
        stack = [(0, t) for t in reversed(tasks) if t.parent not in ids]
        while stack:
            depth, task = stack.pop()
            print('  ' * depth + str(task))
            stack += [(depth + 1, t) for t in reversed(tasks) if t.parent == task.id]


class TuttiBacktrace(gdb.Command):
    """The stack of a task by its number, or of all: tutti bt NUMBER|all"""

    def __init__(self):
        super().__init__('tutti bt', gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        tasks = all_tasks()
        if argument.strip() != 'all':
            if not argument.strip().isdigit():
                raise gdb.GdbError('tutti bt NUMBER, as "tutti tasks" shows it behind #, or tutti bt all')
            tasks = [t for t in tasks if t.id == int(argument)]
            if not tasks:
                raise gdb.GdbError(f'no live task has the number {argument.strip()}')
        for task in tasks:
            print_stack(task)


Tutti()
TuttiTasks()
TuttiBacktrace()
