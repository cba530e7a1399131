"""What one `log` call costs in a hot loop: 3 scalars, 10 scalars, and 3 of which one is a 0-d CPU tensor.

Each call is timed by `perf_counter_ns` around it, the dict included, since the user writes it there; the timer's own
cost is subtracted, and reported. Then the bare loop runs without a timer: it shows what queues push elsewhere."""
import statistics as st
import time

from common import Bar, Figure, Options, figures, main, open_tool, rounds

clock = time.perf_counter_ns
BARS = {'log 3 scalars, median us': Bar(1.0, 10), 'log 3 scalars, p99 us': Bar(5),
    'log 10 scalars, median us': Bar(1.6), 'log 3 with a CPU tensor, median us': Bar(3)}


def three(log, xs, out):
    for x in xs:
        t = clock()
        log({'loss': x, 'acc': .5, 'lr': 1e-3})
        out.append(clock() - t)

def ten(log, xs, out):
    for x in xs:
        t = clock()
        log({'a': x, 'b': .1, 'c': .2, 'd': .3, 'e': .4, 'f': .5, 'g': .6, 'h': .7, 'i': .8, 'j': .9})
        out.append(clock() - t)

def bare(log, xs):
    for x in xs: log({'loss': x, 'acc': .5, 'lr': 1e-3})

def timer()->float:
    "The median of two readings of the clock that follow each other, ns."
    ts = []
    for _ in range(20_000):
        t = clock()
        ts.append(clock() - t)
    return st.median(ts)


def child(job:dict)->dict:
    "Calls in chunks until there are enough of them or the time is over."
    tool, kind, cost, ts = open_tool(job), job['kind'], timer(), []
    xs = [i/7 for i in range(100)]
    if kind == 'tensor':
        import torch
        xs = [torch.tensor(x) for x in xs]
    timed = ten if kind == '10' else three
    timed(tool.log, xs[:10], [])
    time.sleep(job['settle'])         # until what the tool does at its start in the background is over
    end = time.monotonic() + job['seconds']
    while len(ts) < job['calls'] and time.monotonic() < end: timed(tool.log, xs, ts)
    p99 = sorted(ts)[int(len(ts)*.99)]
    out = dict(timer=cost/1e3, median=(st.median(ts) - cost)/1e3, p99=(p99 - cost)/1e3)
    if kind == '3':
        n, t = 0, clock()
        end = time.monotonic() + job['seconds']
        while n < job['calls'] and time.monotonic() < end: n += bare(tool.log, xs) or len(xs)
        out['bare'] = (clock() - t)/n/1e3
    tool.finish()
    return out


def measure(o:Options)->list[Figure]:
    names = o.pick('mlkit', 'nothing', 'trackio', 'tensorboard', 'wandb', 'aim', 'mlflow', 'mlflow-file', 'dvclive')
    job = dict(calls=5_000, seconds=.3, settle=.5) if o.quick else dict(calls=200_000, seconds=1, settle=1)
    out = []
    for kind, what in (('3', 'log 3 scalars'), ('10', 'log 10 scalars'), ('tensor', 'log 3 with a CPU tensor')):
        got = rounds(__file__, o, names, kind=kind, **job)
        out += figures(f'{what}, median us', got, 'median')
        out += figures(f'{what}, p99 us', got, 'p99')
        if kind == '3':
            out += figures('3 scalars in a loop without a timer, us a call', got, 'bare')
            out += figures('the timer, us (already subtracted)', {'nothing': got['nothing']}, 'timer')
    return out


if __name__ == '__main__': main(child, measure, BARS)
