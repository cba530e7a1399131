"""Calls that had returned and are lost, when the process is killed by SIGKILL at a random moment.

The child counts every `log` call that returned in a file that it has mapped, so the count outlives it. The parent
kills it at a random moment, at full speed and at 1,000 calls a second, and reads the rows back with the tool's own
reader: which of the counted rows are missing? A sidecar is left alone and gets time to write what it has; only the
process that trains is killed."""
import mmap
import random
import struct
import time
from pathlib import Path

from common import Bar, Child, Figure, Options, adopt, failed, main, open_tool, reap, run

BARS = {f'calls lost by a kill {speed}': Bar(0) for speed in ('at full speed', 'at 1,000/s')}
SPEEDS = {'at full speed': 0, 'at 1,000/s': 1_000}
WINDOW = {'mlkit': .5} # seconds after the first call in which the kill may come
KILLS = {'mlkit': 200} # and 10 of each peer


def child(job:dict)->dict:
    if 'read' in job: return dict(missing=[missing(job['tool'], Path(f), n) for f, n in job['read']])
    with open(job['seen'], 'r+b') as f: seen = mmap.mmap(f.fileno(), 8)
    tool, pack, pause = open_tool(job), struct.Struct('<q').pack_into, 1/job['speed'] if job['speed'] else 0
    begin, i = time.perf_counter(), 0
    while True:
        tool.log({'loss': float(i), 'acc': .5, 'lr': 1e-3})
        i += 1
        pack(seen, 0, i)
        if pause and (left := begin + i*pause - time.perf_counter()) > 0: time.sleep(left)


def missing(tool:str, folder:Path, n:int)->int:
    "How many of the rows 0..n-1 the tool's reader does not give back."
    import trackers
    try: frames = trackers.ALL[tool].frames(folder)
    except Exception as e:
        print(f'{folder}: {type(e).__name__}: {e}')
        return n
    found = {int(x) for df in frames if 'loss' in df for x in df['loss'].dropna()}
    return n - len(found & set(range(n)))


def kill(tool:str, speed:int, folder:Path, o:Options)->int: # How many calls had returned; 0 if it never began
    "Start a child, kill it at a random moment after its first call."
    folder.mkdir()
    seen = folder.with_suffix('.seen')
    seen.write_bytes(bytes(8))
    c = Child(__file__, dict(tool=tool, speed=speed, folder=folder, seen=seen), o)
    def count(): return struct.unpack('<q', seen.read_bytes())[0]
    while not count() and c.process.poll() is None: time.sleep(.005)
    time.sleep(random.uniform(0, WINDOW.get(tool, 2.)))
    c.process.kill()
    c.process.wait()
    reap(10)
    return count()


def measure(o:Options)->list[Figure]:
    adopt()
    out = []
    for (what, _), speed in zip(BARS.items(), SPEEDS.values(), strict=True):
        for tool in o.pick('mlkit', 'trackio', 'tensorboard', 'wandb', 'aim', 'mlflow', 'mlflow-async', 'dvclive'):
            kills = 3 if o.quick else KILLS.get(tool, 10)
            made = [(f, kill(tool, speed, f, o)) for f in (o.folder/f'{tool}-{speed}-{i}' for i in range(kills))]
            got = run(__file__, dict(tool=tool, read=made), o)
            lost, calls = sum(got.get('missing', [])), sum(n for _, n in made)
            if 'error' in got or not calls: out.append(failed(what, tool, got.get('error', 'no call returned')))
            else:
                out.append(Figure(what, tool, lost, f'{lost:,} of {calls:,}'))
    return out


if __name__ == '__main__': main(child, measure, BARS)
