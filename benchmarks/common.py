"""What the benchmarks share: processes of their own for each tool, rounds that alternate between the tools, and the
table.

A benchmark `bench_x.py` has `child(job)`, which runs in a process of its own and returns a dict, `measure(o)`, which
returns figures, and `BARS`. `run(__file__, job)` is how `measure` calls `child`."""
import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import statistics as st
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import trackers

ROOT = Path(__file__).resolve().parents[1]
LAUNCHER = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT', 'MLKIT_', 'WANDB_', 'TRACKIO_', 'SLURM_')


class Figure(NamedTuple):
    "One number of one tool; less is better. `text` is shown instead of the number, which is then not compared."
    what:str; tool:str; value:float|None; text:str = ''


class Bar(NamedTuple):
    "What mlkit must reach: at most `most`, and `times` less than the best peer."
    most:float|None = None; times:float|None = None


@dataclass
class Options:
    "How much to measure, and where."
    quick:bool = False
    rounds:int = 5
    tools:list[str] = field(default_factory=list)
    folder:Path = Path()

    def pick(self, *names:str)->list[str]:
        "Those of `names` that were asked for and are installed; mlkit always."
        return [n for n in names if n in ('mlkit', 'nothing') or (n in self.tools and trackers.version(n))]


def open_tool(job:dict)->Any:
    "Start the job's tool in the job's folder."
    return trackers.ALL[job['tool']](Path(job['folder']), job.get('shared'))


def environment(**env:Any)->dict[str, str]:
    "This environment, offline, with one thread for NumPy, without what a launcher or a user's settings would change."
    kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHER)}
    ours = dict(OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1, PYTHONPATH=ROOT, PYTHONWARNINGS='ignore', **env)
    return {**kept, **trackers.OFFLINE, **{k: str(v) for k, v in ours.items()}}


class Child:
    "A process that runs `child(job)` of `script`; what it prints goes to a file."
    def __init__(self, script:str, job:dict, o:Options, **env:Any):
        self.name = f"{job.get('tool', '')}-{os.urandom(4).hex()}"
        self.out, self.log = o.folder/f'{self.name}.json', o.folder/f'{self.name}.txt'
        cmd = [sys.executable, script, '--child', json.dumps(dict(job, out=str(self.out)), default=str)]
        with open(self.log, 'w') as f:
            self.process = subprocess.Popen(cmd, cwd=project(o), env=environment(**env), stdin=subprocess.DEVNULL,
                stdout=f, stderr=f)

    def wait(self, seconds:float=900.)->dict:
        "What `child` returned; `{'error': ...}` when it failed or took longer than `seconds`."
        try: code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return dict(error=f'still running after {seconds:.0f} s')
        if self.out.exists(): return json.loads(self.out.read_text())
        last = self.log.read_text(errors='replace').strip().splitlines()[-1:]
        return dict(error=f'exit status {code}: {" ".join(last)[:200]}')


def run(script:str, job:dict, o:Options, **env:Any)->dict:
    "Run `child(job)` of `script` in a process of its own and return what it gave."
    return Child(script, job, o, **env).wait()


def project(o:Options)->Path:
    "A small git repository to run in, as a user would: trackers look at the code."
    path = o.folder/'project'
    if not path.exists():
        path.mkdir()
        (path/'train.py').write_text('print("training")\n')
        git = ['git', '-C', str(path), '-c', 'user.name=A', '-c', 'user.email=a@example.com']
        with contextlib.suppress(OSError):
            for args in ('init -q', 'add .', 'commit -qm Start'): subprocess.run([*git, *args.split()], check=False)
    return path


@contextlib.contextmanager
def fresh(o:Options)->Iterator[Path]:
    "A new folder that is removed afterwards."
    path = Path(tempfile.mkdtemp(dir=o.folder))
    try: yield path
    finally: shutil.rmtree(path, ignore_errors=True)


def rounds(script:str, o:Options, names:list[str], n:int|None=None, **job:Any)->dict[str, list[dict]]:
    "Run the job with each tool in turn, A B C A B C, each time in a new process and folder."
    out:dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(n or o.rounds):
        for name in names:
            if out[name] and 'error' in out[name][-1]: continue
            with fresh(o) as folder: out[name].append(run(script, dict(job, tool=name, folder=folder), o))
    return out


def figures(what:str, results:dict[str, list[dict]], key:str|Callable[[dict], float])->list[Figure]:
    "The median over the rounds of one number, for each tool."
    get = key if callable(key) else lambda r: r[key]
    out = []
    for tool, rs in results.items():
        if errors := [r['error'] for r in rs if 'error' in r]: out.append(failed(what, tool, errors[0]))
        elif rs: out.append(Figure(what, tool, st.median(get(r) for r in rs)))
    return out


def failed(what:str, tool:str, error:str)->Figure:
    "A figure that could not be taken; the reason goes to stderr."
    print(f'{what}, {tool}: {error}', file=sys.stderr)
    return Figure(what, tool, None, 'error')


# Processes and their costs

def adopt()->None:
    "Become the parent of what children leave behind, so that a sidecar's processor time is counted too; Linux only."
    if sys.platform != 'linux': return
    import ctypes
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)                              # PR_SET_CHILD_SUBREAPER


def reap(seconds:float=20.)->None:
    "Wait for adopted processes to end; what is still there after `seconds` is killed."
    end = time.monotonic() + seconds
    while True:
        try: pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError: return
        if pid: continue
        if time.monotonic() > end:
            for p in children(): os.kill(p, 9)
        time.sleep(.01)


def children(pid:int|None=None)->list[int]:
    "The direct children of a process, from /proc."
    try: tasks = list(Path(f'/proc/{pid or os.getpid()}/task').iterdir())
    except OSError: return []
    out = []
    for t in tasks:
        with contextlib.suppress(OSError): out += map(int, (t/'children').read_text().split())
    return out


def family(pid:int)->list[int]:
    "A process and all below it."
    return [pid, *(p for c in children(pid) for p in family(c))]


def spent()->float:
    "Processor seconds, user and system, of all children that have ended."
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime


# The table

def show(fs:list[Figure], bars:dict[str, Bar])->str:
    "The figures as a Markdown table: a line for each question, a column for each tool, the bar and whether it is met."
    tools = [t for t in trackers.ALL if any(f.tool == t for f in fs)]
    at = {(f.what, f.tool): f for f in fs}
    head = ['what', *tools, 'best peer / mlkit', 'bar', 'met']
    rows = []
    for what in dict.fromkeys(f.what for f in fs):
        row = [f.text or number(f.value) if (f := at.get((what, t))) else '' for t in tools]
        rows.append([what, *row, *judge(what, at, bars.get(what))])
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    def line(cells): return '| ' + ' | '.join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + ' |'
    return '\n'.join([line(head), '|' + '|'.join('-'*(w + 2) for w in widths) + '|', *map(line, rows)])


def judge(what:str, at:dict, bar:Bar|None)->list[str]:
    "The ratio to the best peer, the bar in words, and whether mlkit meets it."
    mine = at[what, 'mlkit'].value if (what, 'mlkit') in at else None
    peers = [f.value for (w, t), f in at.items() if w == what and t in trackers.PEERS and f.value is not None]
    comparable = mine and not at[what, 'mlkit'].text                     # a number that stands for itself
    ratio = min(peers)/mine if peers and comparable else None
    words, met = [], []
    if bar and bar.most is not None:
        words.append(f'<= {number(bar.most)}')
        met.append(mine is not None and mine <= bar.most)
    if bar and bar.times is not None:
        words.append(f'{number(bar.times)} times less')
        met.append(ratio is not None and ratio >= bar.times)
    if not met: verdict = ''
    elif mine is None or (bar and bar.times and not peers): verdict = 'unknown'
    else: verdict = 'yes' if all(met) else 'no'
    return [number(ratio) if ratio else '', ', '.join(words), verdict]


def number(v:float|None)->str:
    "Three significant digits."
    if v is None: return '-'
    return f'{v:,.0f}' if abs(v) >= 100 or v == int(v) else f'{v:.3g}'


def about(o:Options)->str:
    "The machine and the versions that were measured."
    models = [line.split(':')[1].strip() for line in _lines('/proc/cpuinfo') if line.startswith('model name')]
    machine = f'{models[0] if models else platform.processor()}, {os.cpu_count()} cores'
    load = f', load {os.getloadavg()[0]:.1f}' if hasattr(os, 'getloadavg') else ''
    found = {t: trackers.version(t) for t in trackers.ALL if t != 'nothing'}
    tools = ', '.join(f'{t} {v}' for t, v in found.items() if v and t in ['mlkit', *o.tools])
    absent = ', '.join(t for t, v in found.items() if not v)
    where = f'{filesystem(o.folder)}, Python {platform.python_version()}, {time.strftime("%Y-%m-%d")}'
    return (f'{machine}{load}, {where}\n{tools}\n' + (f'not installed: {absent}\n' if absent else ''))


def _lines(path:str)->list[str]:
    try: return Path(path).read_text().splitlines()
    except OSError: return []


def filesystem(path:Path)->str:
    "The type of the file system that holds `path`."
    mounts = [line.split() for line in _lines('/proc/self/mounts')]
    fits = [m for m in mounts if path.resolve().is_relative_to(m[1].replace('\\040', ' '))]
    return max(fits, key=lambda m: len(m[1]))[2] if fits else 'unknown file system'


def options(args:list[str]|None=None, **extra:Any)->tuple[Options, argparse.Namespace]:
    "Read the command line; `extra` are more options with their defaults."
    p = argparse.ArgumentParser(description='Measure mlkit beside other trackers; see benchmarks/README.md.')
    p.add_argument('--quick', action='store_true', help='much less work, in one or two rounds: the figures are rough')
    p.add_argument('--rounds', type=int, default=0, help='rounds, A B C A B C; 5 by default, 2 with --quick')
    p.add_argument('--tools', default=','.join(trackers.PEERS), help='peers to measure, of: %(default)s')
    p.add_argument('--folder', default=None, help='where the runs are written; the temporary folder by default')
    for k, v in extra.items(): p.add_argument(f'--{k}', default=v)
    a = p.parse_args(args)
    names = [t for t in a.tools.split(',') if t]
    if unknown := set(names) - set(trackers.PEERS):
        p.error(f"unknown tools {', '.join(unknown)}; choose from: {', '.join(trackers.PEERS)}")
    folder = Path(tempfile.mkdtemp(dir=a.folder, prefix='bench-'))
    return Options(a.quick, a.rounds or (2 if a.quick else 5), names, folder), a


def main(child:Callable[[dict], dict], measure:Callable[[Options], list[Figure]], bars:dict[str, Bar])->None:
    "Run the benchmark, or its child."
    if sys.argv[1:2] == ['--child']:
        job = json.loads(sys.argv[2])
        Path(job['out']).write_text(json.dumps(child(job)))
        return
    o, _ = options()
    try:
        print(about(o))
        print(show(measure(o), bars))
    finally: shutil.rmtree(o.folder, ignore_errors=True)
