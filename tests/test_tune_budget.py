"A budget is the study's: over several workers, sessions and deaths, no trial begins after it is spent."
import os, random, re, time
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlkit.tune import Budget, Study, StudyDone, uniform
from mlkit.tune.budget import clocked, expected_best


def nap(x):
    import time
    time.sleep(.3)
    return x

def study(store, **kw): return Study('s', dict(x=uniform(0., 1.)), 'min x', sampler='random', project='p', store=store, track=False, **kw)

def test_workers_share_a_budget_and_a_later_session_spends_the_rest(tmp_path):
    s = study(tmp_path)
    s.run(nap, budget=Budget(device_hours=3/3600), workers=2, progress=False)
    first, used = len(s), Budget(hours=1).spent(s.rows, time.time())
    assert 9 <= first <= 13 and used.device_hours >= 3/3600 and all(r.state == 'complete' for r in s.rows)
    assert used.hours < .8*used.device_hours                        # two at a time
    s.run(nap, budget=Budget(device_hours=3/3600), workers=2, progress=False)
    assert len(s) == first
    study(tmp_path).run(nap, budget=Budget(device_hours=4/3600), workers=1, progress=False)
    assert first + 2 <= len(s) <= first + 5

def test_the_night_after_a_death_costs_nothing(tmp_path):
    """A worker is killed, and nobody looks for two hours: its lease and the start of its trial are set back by these."""
    from test_tune_study import start
    p = start("import time; s = study(); t = s.ask(); print(s.worker, flush=True); time.sleep(99)", tmp_path)
    worker = p.stdout.readline().strip()
    p.kill()
    p.communicate()
    journal, ago = tmp_path/'p'/'.studies'/'s'/'journal.log', time.time() - 7200
    os.utime(journal.parent/'workers'/worker, (ago + 60, ago + 60))
    began = datetime.fromtimestamp(ago, timezone.utc).isoformat()
    journal.write_text(re.sub(r'("datetime_start": ?)"[^"]+"', rf'\g<1>"{began}"', journal.read_text()))
    s = Study('s', project='p', store=tmp_path, track=False, sampler='random')
    s.bury(now=True)
    assert 50/3600 < Budget(hours=1).spent(s.rows, time.time()).hours < 70/3600, s.rows

def test_trials_keep_the_devices_they_began_with(tmp_path):
    s = study(tmp_path)
    for devices in (1, 4):
        t = s.ask(budget=Budget(hours=1, devices=devices))
        time.sleep(.2)
        s.tell(t, .5)
    got = Budget(hours=1, devices=4).spent(s.rows, time.time())
    assert got.device_hours == pytest.approx(2.5*got.hours, rel=.1)

def test_one_that_is_spent_asks_nothing_but_lets_trials_end(tmp_path):
    s, budget = study(tmp_path), Budget(usd=.001, rate=10.)
    t = s.ask(budget=budget)
    time.sleep(.5)
    with pytest.raises(StudyDone, match='USD are spent'): s.ask(budget=budget)
    s.tell(t, .5)
    assert [r.state for r in s.rows] == ['complete']
    with pytest.raises(ValueError, match='a budget='): s.run(nap)

def test_a_trial_that_would_not_fit_is_not_begun(tmp_path):
    s = study(tmp_path)
    s.run(nap, budget=Budget(hours=1/3600, fits=True), progress=False)
    assert 2 <= len(s) <= 3 and Budget(hours=1).spent(s.rows, time.time()).hours < 1/3600

def test_it_stops_when_a_trial_is_worth_less_than_its_price(tmp_path):
    s, rng = study(tmp_path), random.Random(0)
    def fn(x):
        time.sleep(.005)
        return 1 + rng.random()**2
    s.run(fn, trials=300, budget=Budget(worth=1., rate=1000.), progress=False)
    assert 10 <= len(s) < 300

@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=7), st.data())
def test_the_expected_best_is_the_mean_over_all_choices(values, data):
    from itertools import combinations
    k = data.draw(st.integers(1, len(values)))
    every = [min(o) for o in combinations(values, k)]
    assert expected_best(values, k) == pytest.approx(sum(every)/len(every), abs=1e-9, rel=1e-9)

@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12))
def test_the_clock_counts_each_moment_once(found):
    spans = [(a, a + n) for a, n in found]
    assert clocked(spans) == len({t for a, b in spans for t in range(a, b)})
