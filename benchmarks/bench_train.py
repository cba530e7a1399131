"""What a training step costs above the bare PyTorch loop: a tiny MLP, batch 64, in one process, ABAB, with an A/A control.

The loops alternate in one process, since two processes differ by more than what is measured. Each difference is the
processor time of a pass through mlkit less the mean of the two bare passes around it; the control is the difference of
those two. Figures are medians over all pairs, with the quartiles beside them.

    python benchmarks/bench_train.py [--rounds 41]
"""
import argparse
import io
import statistics as st
import tempfile
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import mlkit
from mlkit.train import Learner, Loop, Progress, Track
from mlkit.train.loop import Callback

STEPS, BS = 2000, 64          # of an epoch; what a fit costs once, some milliseconds, is spread over them


def data():
    g = torch.manual_seed(0)
    x, y = torch.randn(STEPS*BS, 32, generator=g), torch.randint(0, 10, (STEPS*BS,), generator=g)
    return [list(b) for b in zip(x.split(BS), y.split(BS), strict=True)]


def made():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
    return model, torch.optim.SGD(model.parameters(), lr=.01)


def bare(batches):
    model, opt = made()
    def run():
        for x, y in batches:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            opt.zero_grad()
    return run


class Hooks(Callback):
    "Six events that do nothing."
    def before_batch(self, learn): pass
    def after_predict(self, learn): pass
    def after_loss(self, learn): pass
    def after_backward(self, learn): pass
    def before_step(self, learn): pass
    def after_batch(self, learn): pass


def looped(batches, *cbs):
    model, opt = made()
    loop = Loop(model, batches, None, F.cross_entropy, opt, cbs)
    return lambda: loop.fit(1)


def spent(f):
    t = time.process_time()
    f()
    return (time.process_time() - t)/STEPS*1e6


class Ops(TorchDispatchMode):
    "Counts torch operations by name."
    def __init__(self):
        super().__init__()
        self.seen = {}

    def __torch_dispatch__(self, fn, types, args=(), kwargs=None):
        self.seen[str(fn)] = self.seen.get(str(fn), 0) + 1
        return fn(*args, **(kwargs or {}))


def operations(f):
    with Ops() as ops: f()
    return ops.seen


def main(rounds):
    torch.set_num_threads(1)
    batches, store = data(), tempfile.mkdtemp()
    run = mlkit.init('bench', store=store, console=False)
    learn = Learner(made()[0], (batches, None), F.cross_entropy, torch.optim.SGD, lr=.01, device='cpu')
    kinds = {'Loop, no callbacks': looped(batches),
        'Loop, 5 callbacks with 6 empty hooks each': looped(batches, *(Hooks() for _ in range(5))),
        'Loop, tracked': looped(batches, Track(run)),
        'Loop, tracked, 10 Hz bar': looped(batches, Track(run), Progress(io.StringIO(), 'terminal')),
        'Learner.fit, tracked, bar': lambda: learn.fit(1, run=run, rehearse=False, checkpoint=False),
        'the same, and a checkpoint at its end': lambda: learn.fit(1, run=run, rehearse=False)}
    raw = bare(batches)
    raw()
    print(f'{"":54}{"us a step":>10}  quartiles         bare   A/A')
    for name, f in kinds.items():
        f()
        diffs, same, whole = [], [], []
        for _ in range(rounds):
            a, b, c = spent(raw), spent(f), spent(raw)
            diffs.append(b - (a + c)/2)
            same.append(c - a)
            whole += a, c
        low, _, high = st.quantiles(diffs, n=4)
        figures = f'[{low:+.1f}, {high:+.1f}]  {st.median(whole):8.0f} {st.median(same):+6.1f}'
        print(f'{name:54}{st.median(diffs):+10.1f}  {figures}')
    print()
    expected = operations(bare(batches))
    for name, f in kinds.items():
        got = operations(f)
        added = {k: got.get(k, 0) - expected.get(k, 0) for k in {*got, *expected}}
        extra = {k: round(n/STEPS, 2) for k, n in added.items() if abs(n) >= STEPS/10}
        print(f'torch operations added to a step, {name}: {extra or "none"}')
    run.finish()


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--rounds', type=int, default=41, help='pairs for each kind')
    main(p.parse_args().rounds)
