"""Ask and tell beside Optuna's storages, interleaved: python benchmarks/bench_tune.py [--trials 1000] [--workers]

Six settings, the random sampler, everything on the disk (fsync) before the call returns."""
import argparse, statistics, subprocess, sys, tempfile, time, warnings

def ours(folder, n=1000, sampler='random'):
    from mlkit.tune import Study, choice, log_uniform, randint, uniform
    space = dict(lr=log_uniform(1e-5, 1e-1), wd=log_uniform(1e-6, 1e-2), dropout=uniform(0, .5),
        width=choice(32, 64, 128), layers=randint(1, 8), act=choice('relu', 'gelu'))
    s = Study('bench', space, 'min loss', sampler=sampler, track=False, store=folder, project='bench')
    def one():
        t = s.ask()
        s.tell(t, t['lr'])
    return one

def theirs(storage):
    import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    s = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(), study_name='bench', load_if_exists=True)
    def one():
        t = s.ask()
        lr = t.suggest_float('lr', 1e-5, 1e-1, log=True)
        t.suggest_float('wd', 1e-6, 1e-2, log=True), t.suggest_float('dropout', 0, .5), t.suggest_categorical('width', [32, 64, 128])
        t.suggest_int('layers', 1, 8), t.suggest_categorical('act', ['relu', 'gelu'])
        s.tell(t, lr)
    return one

def journal(folder):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    return JournalStorage(JournalFileBackend(f'{folder}/optuna.log'))

def ask_and_tell(trials):
    with tempfile.TemporaryDirectory() as folder:
        makers = dict(mlkit=ours(folder), journal=theirs(journal(folder)), sqlite=theirs(f'sqlite:///{folder}/optuna.db'))
        took = {k: [] for k in makers}
        for i in range(trials):
            for k, one in makers.items():
                if k == 'sqlite' and i >= trials//5: continue
                start = time.perf_counter()
                one()
                took[k].append(1e3*(time.perf_counter() - start))
    for k, v in took.items():
        print(f'{k:8} {statistics.mean(v):7.2f} ms a trial (median {statistics.median(v):6.2f}), last 100 / first 100 '
            f'{statistics.median(v[-100:])/statistics.median(v[:100]):.2f}, {len(v)} trials')
    print(f"mlkit / journal {statistics.mean(took['mlkit'])/statistics.mean(took['journal']):.2f}, "
        f"mlkit / sqlite {statistics.mean(took['mlkit'])/statistics.mean(took['sqlite']):.3f}")

WORKER = """
import sys, time
sys.path.insert(0, 'benchmarks')
import bench_tune as b
what, folder = sys.argv[1:]
if what == 'mlkit':
    one = b.ours(folder)
    from mlkit.tune import Study
    s = Study('bench', sampler='random', track=False, store=folder, project='bench')
    def one():
        t = s.ask()
        for e in range(3): time.sleep(.05/3); t.report(loss=t['lr'])
        s.tell(t)
else:
    import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    s = optuna.load_study(study_name='bench', storage=b.journal(folder), sampler=optuna.samplers.RandomSampler())
    def one():
        t = s.ask()
        lr = t.suggest_float('lr', 1e-5, 1e-1, log=True)
        t.suggest_float('wd', 1e-6, 1e-2, log=True), t.suggest_float('dropout', 0, .5), t.suggest_categorical('width', [32, 64, 128])
        t.suggest_int('layers', 1, 8), t.suggest_categorical('act', ['relu', 'gelu'])
        for e in range(3): time.sleep(.05/3); t.report(lr, e)
        s.tell(t, lr)
print('ready', flush=True); sys.stdin.readline()
for _ in range(40): one()
"""

def workers(n=4):
    for what in ('mlkit', 'journal')*2:
        with tempfile.TemporaryDirectory() as folder:
            ours(folder) if what == 'mlkit' else theirs(journal(folder))
            pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            ps = [subprocess.Popen([sys.executable, '-c', WORKER, what, folder], **pipes) for _ in range(n)]
            for p in ps: p.stdout.readline()
            start = time.perf_counter()
            for p in ps: p.stdin.write(b'\n'); p.stdin.flush()
            for p in ps: p.wait()
            print(f'{what:8} {n} workers: {40*n/(time.perf_counter() - start):6.1f} trials/s')

def opening(trials=10_000):
    "A study of many trials, opened in a fresh process."
    with tempfile.TemporaryDirectory() as folder:
        from mlkit.tune import Study
        from mlkit.tune.trials import create, end
        ours(folder)
        s = Study('bench', sampler='random', track=False, store=folder, project='bench')
        for n in range(trials):
            s.ledger.journal.append([create(s.space, s.space.random(), 'w'), *end(n, 'w', 'complete', [1.])], sync=False)
        code = ("import sys, time, resource\nfrom mlkit.tune import Study\nstart = time.perf_counter()\n"
            "s = Study('bench', sampler='random', track=False, store=sys.argv[1], project='bench')\n"
            "assert len(s.rows) == int(sys.argv[2])\n"
            "print(f'opened {len(s.rows)} trials in {time.perf_counter() - start:.2f} s, "
            "{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024:.0f} MB at most')")
        subprocess.run([sys.executable, '-c', code, folder, str(trials)], check=True)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--trials', type=int, default=1000)
    p.add_argument('--workers', action='store_true', help='four workers with an objective of 50 ms')
    p.add_argument('--open', action='store_true', help='a study of 10,000 trials')
    a = p.parse_args()
    warnings.simplefilter('ignore')
    if a.workers: workers()
    elif a.open: opening()
    else: ask_and_tell(a.trials)
