"""What one `log` call of 3 scalars costs at the pace of a training loop: 200 calls a second, with cold caches.

Between two calls the process writes through 8 MB and multiplies matrices until 5 ms are over, so that neither the
tracker's code nor its data are left in the caches of the core. This is the figure to tell users, not that of the hot
loop."""
import statistics as st
import time

from common import Bar, Figure, Options, figures, main, open_tool, rounds

clock = time.perf_counter_ns
BARS = {'log 3 scalars at 200 calls/s, median us': Bar(9, 4)}
PERIOD = 5_000_000 # ns


def child(job:dict)->dict:
    import numpy as np
    tool, ts = open_tool(job), []
    memory, a = np.zeros(1_000_000), np.random.default_rng(0).random((256, 256), dtype='f4')
    tool.log({'loss': 0., 'acc': .5, 'lr': 1e-3})
    due = clock()
    for i in range(job['calls'] + job['first']):
        due = max(due + PERIOD, clock())
        memory += 1
        while clock() < due: a @ a
        t = clock()
        tool.log({'loss': i/7, 'acc': .5, 'lr': 1e-3})
        ts.append(clock() - t)
    tool.finish()
    ts = sorted(ts[job['first']:])                                       # the first ones fall into the tool's own start
    return dict(median=st.median(ts)/1e3, p99=ts[int(len(ts)*.99)]/1e3)


def measure(o:Options)->list[Figure]:
    names = o.pick('mlkit', 'nothing', 'trackio', 'tensorboard', 'wandb', 'aim', 'mlflow', 'mlflow-file', 'dvclive')
    got = rounds(__file__, o, names, calls=100 if o.quick else 600, first=50 if o.quick else 200)
    what = 'log 3 scalars at 200 calls/s'
    return figures(f'{what}, median us', got, 'median') + figures(f'{what}, p99 us', got, 'p99')


if __name__ == '__main__': main(child, measure, BARS)
