"Each of the eighteen distributions draws what its definition says, whatever shape the arguments give it."
import math, random

import pytest

from mlkit.tune.space import KINDS, Dist, Space, choice, key, log_uniform, randint, uniform

stats = pytest.importorskip('scipy.stats')

def rounded(law, q):
    "The cumulative share of the multiples of `q` nearest to draws of `law`."
    return lambda x: law.cdf((math.floor(x/q + 1e-9) + .5)*q)

LOG = stats.loguniform(1e-3, 10)
LAWS = {                                # kind: arguments, and its cumulative share; those that jump are tested by counts below
    'uniform': (dict(min=-2., max=3.), stats.uniform(-2, 5)),
    'log_uniform': (dict(min=math.log(1e-3), max=math.log(10)), LOG),
    'log_uniform_values': (dict(min=1e-3, max=10.), LOG),
    'inv_log_uniform': (dict(min=-math.log(10), max=-math.log(1e-3)), LOG),
    'inv_log_uniform_values': (dict(min=1e-3, max=10.), LOG),
    'normal': (dict(mu=3., sigma=2.), stats.norm(3, 2)),
    'log_normal': (dict(mu=.5, sigma=.7), stats.lognorm(.7, scale=math.exp(.5))),
    'beta': (dict(a=2., b=.5), stats.beta(2, .5))}

@pytest.mark.parametrize('kind', LAWS)
def test_a_continuous_distribution_draws_its_law(kind):
    rng, (args, law) = random.Random(kind), LAWS[kind]
    draws = [Dist(kind, args).ppf(rng.random()) for _ in range(2000)]
    assert stats.kstest(draws, law.cdf).pvalue > .01

@pytest.mark.parametrize('kind', [k for k in KINDS if k.startswith('q_')])
def test_a_quantised_distribution_draws_the_rounded_law(kind):
    rng, (args, law) = random.Random(kind), LAWS[kind[2:]]
    d, q = Dist(kind, {**args, 'q': .5}), .5
    draws = [d.ppf(rng.random()) for _ in range(4000)]
    seen = sorted(set(draws))
    share = rounded(law, q)
    expect = [4000*(share(v) - (share(v - q) if i else 0)) for i, v in enumerate(seen)]
    expect[-1] += 4000 - sum(expect)
    groups, o, e = [], 0, 0.
    for v, want in zip(seen, expect):                   # a chi-square test wants five expected in each class
        o, e = o + draws.count(v), e + want
        if e >= 5: groups, o, e = [*groups, [o, e]], 0, 0.
    if o or e: groups[-1] = [groups[-1][0] + o, groups[-1][1] + e]
    if len(groups) > 1: assert stats.chisquare(*zip(*groups)).pvalue > .01

@pytest.mark.parametrize('d, shares', [
    (choice('a', 'b', 'c'), [1/3]*3), (choice('a', 'b', 'c', p=[.5, .3, .2]), [.5, .3, .2]), (randint(-1, 2), [.25]*4)])
def test_categories_and_whole_numbers_come_in_their_shares(d, shares):
    rng = random.Random(4)
    draws = [d.ppf(rng.random()) for _ in range(3000)]
    assert stats.chisquare([draws.count(v) for v in d.values], [3000*o for o in shares]).pvalue > .01

def test_the_table_covers_all_kinds():
    tested = {*LAWS, *(k for k in KINDS if k.startswith('q_')), 'categorical', 'categorical_w_probabilities', 'int_uniform', 'constant'}
    assert tested == set(KINDS) and len(KINDS) == 18

@pytest.mark.parametrize('kind', LAWS)
def test_the_ends_of_the_unit_interval_are_values_too(kind):
    d = Dist(kind, LAWS[kind][0])
    assert all(math.isfinite(d.ppf(u)) for u in (0, 1e-300, .5, 1 - 1e-16, 1))

@pytest.mark.parametrize('make, said', [
    (lambda: uniform(2, 1), 'above max'), (lambda: uniform(0, math.inf), 'finite'), (lambda: uniform('0', 1), 'finite number'),
    (lambda: randint(0, 1.5), 'whole'), (lambda: uniform(0, 1, q=0), 'q must be above 0'), (lambda: choice(1, 2, p=[1]), 'as many'),
    (lambda: choice(1, 2, p=[.5, .6]), 'add up'), (lambda: Space([1]), 'is a dict'), (lambda: Space({}), 'empty'),
    (lambda: Space(dict(a=randint(0, 1, when=dict(b=1)), b=randint(0, 1, when=dict(a=1)))), 'circle'),
    (lambda: Space(dict(a=randint(0, 1)), ['b > 1']), "no setting 'b'"), (lambda: log_uniform(-1, 1), 'above 0')])
def test_a_bad_space_says_what_is_wrong(make, said):
    with pytest.raises((ValueError, TypeError), match=said): make()

def test_categories_of_any_json_type_stay_apart():
    s = Space(dict(v=choice(None, True, 1, 1.0, '1', [1], {'a': 1})))
    assert len({key(p) for p in s.grid()}) == 7
