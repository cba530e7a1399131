"What a dashboard draws is the truth: no spike is hidden at any zoom, and smoothing is that of all points."
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlkit
from mlkit.track.compare import smoothed
from mlkit.ui.series import Line, _cut, lines, pack, panel, thin, unpack, window

sizes, seeds = st.integers(1, 20_000), st.integers(0, 2**32 - 1)

def series(seed:int, size:int)->tuple[np.ndarray, np.ndarray]:
    "Uneven positions, some of them equal, and noise."
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.integers(0, 5, size)*rng.choice([1., 1., 1000.], size)), rng.standard_normal(size)

@settings(max_examples=1000, deadline=None)
@given(seeds, sizes, st.integers(1, 1500), st.floats(0, 1), st.floats(0, 1), st.sampled_from([-1., 1.]), st.booleans())
def test_every_spike_survives_in_every_window(seed, size, n, a, b, sign, log):
    x, y = series(seed, size)
    at = seed % size
    y[at] = sign*100
    lo, hi = sorted((x[0] + a*(x[-1] - x[0]), x[0] + b*(x[-1] - x[0])))
    got = _cut(x, y, lo, hi, n, log)
    if lo <= x[at] <= hi: assert sign*100 in got.y[got.x == x[at]]
    assert (np.diff(got.x) >= 0).all() and len(got.x) <= 4*n
    part = window(x, lo, hi)
    assert (got.y.min(), got.y.max()) == (y[part].min(), y[part].max())

@settings(max_examples=200, deadline=None)
@given(seeds, sizes, st.integers(1, 800), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_is_no_number_hides_nothing_and_shows(seed, size, n, odd):
    x, y = series(seed, size)
    rng = np.random.default_rng(seed)
    y[rng.random(size) < rng.random()] = odd
    at = thin(x, y, n)
    good = y[np.isfinite(y)]
    if len(good): assert (np.nanmin(y[at][np.isfinite(y[at])]), y[at][np.isfinite(y[at])].max()) == (good.min(), good.max())
    assert np.isfinite(y[at]).all() == np.isfinite(y).all()
    assert len(set(at)) == len(at) <= max(5*n, 4*n)

@settings(max_examples=200, deadline=None)
@given(seeds, sizes, st.floats(0, .999), st.floats(0, 1), st.floats(0, 1))
def test_smoothing_is_that_of_all_points(seed, size, weight, a, b):
    "Against the formula, written as a loop, through the float32 that travels."
    x, y = series(seed, size)
    num = den = 0.
    full = np.empty(size)
    for i, v in enumerate(y):
        num, den = weight*num + v, weight*den + 1
        full[i] = num/den
    x = np.arange(size)*1.
    lo, hi = sorted((a*size, b*size))
    got = _cut(x, smoothed(y, weight), lo, hi, 300, False)
    np.testing.assert_allclose(got.y, full[got.x.astype(int)], atol=1e-9)
    _, [(at, values)] = unpack(pack([({}, got)]))
    assert (at == got.x).all()
    np.testing.assert_allclose(values, got.y, atol=1e-6)

@pytest.mark.parametrize('values', [[], [math.nan]*9000, [math.inf, -math.inf]*5000, [1e300]*9000, [0.]])
def test_odd_series_travel(values):
    y = np.array(values, float)
    got = _cut(np.arange(len(y))*1., y, None, None, 100, False)
    head, [(_, back)] = unpack(pack([({}, got)]))
    assert head['lines'][0]['total'] == len(y) and len(back) == len(got.y)
    assert (np.isfinite(back) == np.isfinite(got.y)).all()

def test_a_live_run_is_drawn_up_to_its_last_row(tmp_path):
    with mlkit.init(project='p', name='live', store=tmp_path, system=False, hardware=False) as run:
        for i in range(50): run.log(loss=i)
        r = mlkit.runs('p', tmp_path)['live']
        assert lines(r, 'loss')[0].last == 49
        run.log(loss=99)
        head, [(x, y)] = unpack(panel([r], ['loss', 'missing']))
        assert (x[-1], y[-1], head['lines'][0]['last']) == (50, 99, 99)

def test_time_of_day_keeps_its_fractions():
    x = 1.8e9 + np.arange(1000)*.125
    _, [(at, _)] = unpack(pack([({}, Line(x, x*0, 1000, (x[0], x[-1]), 0.))]))
    assert (at == x).all()
