"""What early stopping saves and what it costs: python benchmarks/bench_asha.py [--configs 50] [--orders 20]

Small networks on scikit-learn's digits, breast cancer and wine, scored by five-fold cross-validation, four times. Every configuration is
trained to its end once, with the score after each epoch; a study then replays it, so that each rule sees the same curves. `epochs` is the
share of those that training everything takes, `loss` how many points of the best score a study gives away, over several orders of the
configurations."""
import argparse, statistics, tempfile, time, warnings

import torch
import torch.nn.functional as F

EPOCHS = 27

FOLDS, REPEATS = 5, 4

def data(name):
    "Standardised inputs and classes of all training sets and of what each leaves out: (FOLDS*REPEATS, samples, inputs)."
    from sklearn import datasets
    x, y = getattr(datasets, f'load_{name}')(return_X_y=True)
    x, y = torch.tensor(x).float(), torch.tensor(y).long()
    x = (x - x.mean(0))/x.std(0).clamp_min(1e-6)
    parts, rest, rng = [], [], torch.Generator().manual_seed(0)
    for _ in range(REPEATS):
        part = torch.randperm(len(x), generator=rng)[:len(x)//FOLDS*FOLDS].view(FOLDS, -1)
        parts.append(part)
        rest += [torch.cat([part[j] for j in range(FOLDS) if j != i]) for i in range(FOLDS)]
    held, kept = torch.cat(parts), torch.stack(rest)
    return x[kept], y[kept], x[held], y[held]

def points(n):
    "Configurations, the same for each data set."
    from mlkit.tune import Space, choice, log_uniform, randint
    import random
    space = Space(dict(lr=log_uniform(1e-4, 1.), hidden=choice(8, 16, 32, 64, 128), layers=randint(1, 3), wd=log_uniform(1e-6, 1e-1),
        opt=choice('sgd', 'adam'), bs=choice(16, 64, 256)))
    rng = random.Random(0)
    return [space.random(rng) for _ in range(n)]

class Nets(torch.nn.Module):
    "One network for each training set, side by side."
    def __init__(self, sizes):
        super().__init__()
        def weights(a, b): return torch.nn.Parameter(torch.empty(FOLDS*REPEATS, a, b).uniform_(-1, 1)/a**.5)
        self.w = torch.nn.ParameterList(weights(a, b) for a, b in zip(sizes, sizes[1:]))
        self.b = torch.nn.ParameterList(torch.nn.Parameter(torch.zeros(FOLDS*REPEATS, 1, b)) for b in sizes[1:])

    def forward(self, x):
        for i, (w, b) in enumerate(zip(self.w, self.b)): x = torch.baddbmm(b, x.relu() if i else x, w)
        return x

def curve(point, x, y, vx, vy):
    "The accuracy on what was left out, over all folds, after each epoch, in percent."
    torch.manual_seed(0)
    model = Nets([x.shape[2], *[point['hidden']]*point['layers'], int(y.max()) + 1])
    make = torch.optim.AdamW if point['opt'] == 'adam' else lambda p, **kw: torch.optim.SGD(p, momentum=.9, **kw)
    opt, out = make(model.parameters(), lr=point['lr'], weight_decay=point['wd']), []
    for _ in range(EPOCHS):
        for i in torch.randperm(x.shape[1]).split(point['bs']):
            opt.zero_grad()
            (FOLDS*REPEATS*F.cross_entropy(model(x[:, i]).flatten(0, 1), y[:, i].flatten())).backward()
            opt.step()
        with torch.no_grad(): out.append(100*(model(vx).argmax(2) == vy).float().mean().item())
    return out

class Replay:
    "A sampler that proposes the configurations of a table in a given order."
    def __init__(self, n, seed):
        import random
        self.left = random.Random(seed).sample(range(n), n)[::-1]
    def propose(self, ledger, space): return dict(config=self.left.pop()), None
    def used(self, row, token): pass

def sweep(curves, stop, seed, n):
    "Epochs that were trained, and the best final score of a trial that came to its end."
    from mlkit.tune import Study, randint
    trained = []
    def train(t):
        for epoch in range(t.checkpoint or 0, EPOCHS):
            trained.append(t.number)
            t.save(epoch + 1)
            t.report(acc=curves[t['config']][epoch])
    with tempfile.TemporaryDirectory() as folder:
        s = Study('s', dict(config=randint(0, len(curves) - 1)), 'max acc', sampler=Replay(len(curves), seed), stop=stop, store=folder,
            project='p', track=False)
        s.run(train, trials=n, progress=False)
        seen = [r.params['config'] for r in s.rows]
        best = max((r.values[0] for r in s.rows if r.state == 'complete'), default=0)
        return len(trained), max(curves[c][-1] for c in seen) - best

def rules():
    from mlkit.tune import ASHA, Hyperband, Median
    return {'none': None, 'asha': ASHA(max_iter=EPOCHS), 'asha, promotion': ASHA(promote=True, max_iter=EPOCHS),
        'asha, promotion, first=2': ASHA(first=2, promote=True, max_iter=EPOCHS),
        'hyperband (W&B), min_iter 3': Hyperband(min_iter=3), 'median': Median()}

def main():
    p = argparse.ArgumentParser()
    p.add_argument('--configs', type=int, default=50)
    p.add_argument('--orders', type=int, default=20)
    a = p.parse_args()
    warnings.filterwarnings('ignore')
    torch.set_num_threads(2)
    print(f'{a.configs} configurations of {EPOCHS} epochs, {a.orders} orders')
    print(f"{'data':14} {'rule':28} {'epochs':>7}  loss: median, mean, worst (points)")
    for name in ('digits', 'breast_cancer', 'wine'):
        start, sets = time.perf_counter(), data(name)
        curves = [curve(p, *sets) for p in points(a.configs)]
        took = time.perf_counter() - start
        for rule, stop in rules().items():
            found = [sweep(curves, stop, seed, a.configs) for seed in range(a.orders)]
            used, lost = statistics.mean(n for n, _ in found)/a.configs/EPOCHS, [v for _, v in found]
            shown = f'{statistics.median(lost):.2f}, {statistics.mean(lost):.2f}, {max(lost):.2f}'
            print(f'{name:14} {rule:28} {used:7.3f}  {shown}', flush=True)
        print(f'{name:14} training the table took {took:.0f} s')

if __name__ == '__main__': main()
