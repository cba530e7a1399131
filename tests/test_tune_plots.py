"Charts are drawn of whatever a study holds; what can't be drawn says why."
import math, random, warnings
from types import SimpleNamespace

import pytest

pytest.importorskip('matplotlib')

from mlkit.tune.goal import Goals
from mlkit.tune.importance import importance, limits
from mlkit.tune.plots import KINDS, Seen, contour, curves, history, parallel, pareto, plot, shares, slices
from mlkit.tune.space import Space, choice, log_uniform, normal, randint, uniform
from mlkit.tune.trials import Row

SPACE = Space(dict(lr=log_uniform(1e-4, 1e-1), width=randint(16, 128), act=choice('relu', 'gelu'), batch=64))
CONDITIONAL = Space(dict(opt=choice('sgd', 'adam'), momentum=uniform(0, 1, when=dict(opt='sgd')), lr=log_uniform(1e-4, 1e-1)))
LONG = Space({f'model.{"encoder.attention."*9}dropout': uniform(0, 1), 'größe_数据_🦊': randint(1, 9), '$a_{b}^': uniform(0, 1),
    '_hidden': choice(True, False), 'name': choice(*(f'{"very_"*9}long_{i}' for i in range(40))),
    'x\ny': choice(None, 1, 'a', [1, 2], 2.5)})
DRAWN = set(KINDS) - {'pareto'}

def score(p): return .9 - .1*abs(math.log10(p.get('lr', .01)/.006))

def rows(n, space=SPACE, states=('complete', 'complete', 'pruned', 'fail'), value=score, steps=5, seed=0):
    rng, out = random.Random(seed), []
    for i in range(n):
        p, state = space.random(rng), states[i % len(states)]
        v = value(p) if value else None
        curve = {e: (v or 0.)*(1 - .5**(e + 1)) for e in range(steps)}
        out.append(Row(i, i, state, p, [v] if state == 'complete' else None, {}, {}, curve))
    return out

def made(rows, *goals, space=SPACE): return SimpleNamespace(name='s', rows=rows, space=space, goals=Goals(goals or 'max acc'))

def drawn(chart):
    "The pixels of `chart`; a warning that isn't about a missing glyph is an error."
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warnings.filterwarnings('ignore', message='Glyph')
        png = chart._repr_png_()[0]
    assert png[:4] == b'\x89PNG' and len(png) > 4000
    return chart

def laid_out(chart):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        FigureCanvasAgg(chart.fig).draw()

def boxes(chart, texts):
    laid_out(chart)
    return [t.get_window_extent() for t in texts if t.get_visible() and t.get_text()]

def apart(bs):
    def clear(a, b): return a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
    return all(clear(a, b) for i, a in enumerate(bs) for b in bs[:i])

@pytest.mark.parametrize('kind', [None, *sorted(DRAWN)])
@pytest.mark.parametrize('mode', ['max', 'min'])
def test_every_chart_of_a_usual_study(kind, mode): drawn(plot(made(rows(40), f'{mode} acc'), kind))

@pytest.mark.parametrize('kind', [None, *KINDS])
def test_a_study_without_trials_says_so(kind):
    for rs in ([], [Row(0, 0, 'waiting', {})]):
        with pytest.raises(ValueError, match='s has no trial yet'): plot(made(rs), kind)

def test_one_trial_has_a_history_a_curve_and_an_overview():
    one = made(rows(1))
    for kind in (None, 'history', 'curves'): drawn(plot(one, kind))
    assert history(Seen(one)).ax.get_title('left') == 'acc of 1 trial'
    for kind in ('slices', 'contour', 'parallel'):
        with pytest.raises(ValueError, match='No setting differs'): plot(one, kind)
    with pytest.raises(ValueError, match='1 complete trial: too few'): plot(one, 'importance')

@pytest.mark.parametrize('n', [2, 3, 8])
def test_few_trials(n):
    for kind in (None, 'history', 'slices', 'contour', 'parallel', 'curves'): drawn(plot(made(rows(n, states=('complete',))), kind))

def test_all_stopped_early():
    stopped = made(rows(9, states=('pruned',)))
    for kind in (None, 'history', 'curves'): drawn(plot(stopped, kind))
    for kind in ('slices', 'contour', 'parallel'):
        with pytest.raises(ValueError, match='no complete trial yet$'): plot(stopped, kind)

def test_all_failed_points_to_the_errors():
    failed = made(rows(3, states=('fail',), steps=0))
    for kind in (None, 'history', 'slices', 'parallel', 'contour'):
        with pytest.raises(ValueError, match=r"3 failed, and study.df\['error'\] says why"): plot(failed, kind)

def test_all_running():
    for kind in (None, 'history'):
        with pytest.raises(ValueError, match='no complete trial yet'): plot(made(rows(3, states=('running',), steps=0)), kind)
    drawn(plot(made(rows(3, states=('running',))), 'curves'))

@pytest.mark.parametrize('bad,mode', [(math.nan, 'max'), (math.inf, 'max'), (-math.inf, 'min'), (1e308, 'min'), (1e12, 'min')])
def test_results_that_are_no_numbers(bad, mode):
    rs = rows(20, states=('complete', 'complete', 'pruned'))
    for r in rs[::4]:
        r.reports[3] = bad
        if r.values: r.values[0] = bad
    for kind in (None, *DRAWN - {'importance'}): drawn(plot(made(rs, f'{mode} acc'), kind))

def test_reports_of_nothing_but_nan():
    rs = rows(9, states=('complete', 'pruned'))
    for r in rs: r.reports = dict.fromkeys(r.reports, math.nan)
    for kind in (None, 'curves', 'history'): drawn(plot(made(rs), kind))

def test_the_same_result_everywhere():
    same = made(rows(20, value=lambda p: .5))
    for kind in (None, *DRAWN - {'importance'}): drawn(plot(same, kind))
    with pytest.raises(ValueError, match='the same result'): plot(same, 'importance')

def test_long_and_odd_names():
    goal = f'max {"validation/"*9}größe_$x'
    odd = made(rows(40, LONG, value=lambda p: p['$a_{b}^'], states=('complete',)), goal, space=LONG)
    for kind in (None, *DRAWN): drawn(plot(odd, kind))
    chart = parallel(Seen(odd))
    assert apart(boxes(chart, chart.ax.get_xticklabels()))
    chart = shares(Seen(odd))
    laid_out(chart)
    assert chart.ax.get_window_extent().width > .4*chart.fig.bbox.width          # the names leave room for the bars

def test_names_of_slices_do_not_overlap():
    odd = made(rows(40, LONG, value=lambda p: p['$a_{b}^'], states=('complete',)), space=LONG)
    chart = slices(Seen(odd))
    assert apart(boxes(chart, [ax.xaxis.label for ax in chart.fig.axes]))

def test_words_side_by_side_are_turned_when_they_do_not_fit():
    space = Space(dict(name=choice(*(f'choice_number_{i}' for i in range(6))), x=uniform(0, 1)))
    chart = drawn(slices(Seen(made(rows(30, space, value=lambda p: p['x']), space=space)), 'name'))
    assert {t.get_rotation() for t in chart.ax.get_xticklabels()} == {35.}
    few = drawn(slices(Seen(made(rows(30))), 'act'))
    assert {t.get_rotation() for t in few.ax.get_xticklabels()} == {0.}

def test_conditional_settings_leave_no_trial_out():
    seen = Seen(made(rows(40, CONDITIONAL, states=('complete',)), space=CONDITIONAL))
    for kind in (None, *DRAWN): drawn(plot(seen.study, kind))
    chart = parallel(seen)
    assert len([o for o in chart.ax.lines if len(o.get_xdata()) > 2]) == 40
    assert 'not set' in {t.get_text() for t in chart.ax.texts}
    assert any('of 40 trials)' in ax.get_xlabel() for ax in slices(seen).fig.axes)
    assert 'of 40 trials' in contour(seen, 'lr', 'momentum').ax.get_title('left')

def test_two_settings_that_never_go_together():
    space = Space(dict(opt=choice('a', 'b'), p=uniform(0, 1, when=dict(opt='a')), q=uniform(0, 1, when=dict(opt='b'))))
    with pytest.raises(ValueError, match='No trial has both p and q'): contour(Seen(made(rows(20, space), space=space)), 'p', 'q')

def test_the_space_was_narrowed_or_widened_since():
    old = rows(60, states=('complete',))
    narrow = Space(dict(lr=log_uniform(1e-3, 1e-2), width=randint(16, 64), act='relu', batch=64))
    wide = Space(dict(lr=log_uniform(1e-5, 1.), width=randint(1, 256), act=choice('relu', 'gelu', 'tanh'), batch=64, extra=normal(0, 1)))
    fewer = Space(dict(lr=log_uniform(1e-4, 1e-1)))
    for space in (narrow, wide, fewer):
        for kind in (None, 'slices', 'parallel'): drawn(plot(made(old, space=space), kind))
    drawn(plot(made(old, space=wide), 'importance'))
    def inside(r): return 1e-3 <= r.params['lr'] <= 1e-2 and r.params['width'] <= 64 and r.params['act'] == 'relu'
    many = rows(300, states=('complete',))
    assert importance(many, narrow).attrs['trials'] == sum(map(inside, many))
    with pytest.raises(ValueError, match=f'{sum(map(inside, many[:20]))} complete trials?: too few'): importance(many[:20], narrow)

def test_the_best_is_one_that_meets_the_conditions():
    def chart(kind, *goals): return plot(made(rows(40), 'max acc', *goals), kind)
    labels = history(Seen(made(rows(40), 'max acc', 'acc <= 0.8'))).ax.get_legend_handles_labels()[1]
    assert "doesn't meet the conditions" in labels and 'best so far' in labels
    assert 'best so far' not in chart('history', 'acc >= 2').ax.get_legend_handles_labels()[1]
    for kind in (None, *DRAWN): drawn(chart(kind, 'acc >= 2'))

def test_many_trials_keep_the_best_in_sight():
    many = made(rows(900, states=('complete', 'pruned')))
    seen = Seen(many)
    assert curves(seen).ax.get_legend().get_texts()[0].get_text() == 'best'
    assert curves(seen).ax.get_title('left').endswith('300 of 900 trials')
    assert 'the best 200 of 450 trials' in parallel(seen).ax.get_title('left')
    assert importance(many.rows, SPACE, mode='max').attrs['trials'] == 400

def test_the_line_that_stands_out_is_the_best_trial():
    for mode in ('max', 'min'):
        seen = Seen(made(rows(30), f'{mode} acc'))
        thick = max(parallel(seen).ax.lines, key=lambda o: o.get_linewidth())
        assert thick.get_ydata()[-1] == (1 if mode == 'max' else 0)

def test_a_front_of_two_and_three_goals():
    rs = rows(30)
    for r in rs:
        if r.values: r.values += [r.params['width'], r.params['lr']]
    three = made(rs, 'max acc', 'min time', 'min memory')
    drawn(pareto(Seen(three)))
    drawn(pareto(Seen(three, 2), 'memory', 'acc'))
    drawn(plot(three))
    for r in rs[:8]:
        if r.values: r.values[1] = math.nan
    drawn(plot(three, 'pareto'))
    for kind in ('history', 'slices', 'importance'): drawn(plot(three, kind, goal='time'))
    drawn(plot(made(rs, 'max acc', 'min time', 'acc >= 2'), 'pareto'))

@pytest.mark.parametrize('values,lo,hi', [
    ([1, 2, 3], .88, 3.12), ([1., 2., 3., 1e9], .88, 3.12), ([0., 0.], -.05, .05), ([-5.], -5.25, -4.75)])
def test_limits(values, lo, hi): assert limits(values, 1) == pytest.approx((lo, hi))

def test_optuna_says_nothing_and_keeps_its_verbosity(capfd):
    optuna = pytest.importorskip('optuna')
    before = optuna.logging.get_verbosity()
    importance(rows(20, states=('complete',)), SPACE)
    assert optuna.logging.get_verbosity() == before and capfd.readouterr() == ('', '')

def test_a_diverged_trial_is_not_all_that_differs():
    rs = rows(60, states=('complete',), value=lambda p: abs(math.log10(p['lr']/.006)))
    before = importance(rs, SPACE).share
    rs[7].values[0] = 1e12
    assert abs(importance(rs, SPACE).share - before).max() < .15

def test_a_study_of_the_store(tmp_path):
    "As a user has it: opened again by name, with one trial that failed, one that runs and one that waits."
    from mlkit.tune.study import Study
    study = Study('real', SPACE, ['max acc', 'min time'], sampler='random', seed=0, store=tmp_path, project='p', track=False)
    def fn(t):
        if t.number == 3: raise RuntimeError('boom')
        for e in range(4): t.report(acc=score(t.row.params)*(1 - .5**(e + 1)))
        t.report(acc=score(t.row.params), time=t['width']*1.)
    study.run(fn, trials=24, progress=False)
    study.ask()
    study.ledger.journal.append(study._lost(study.rows[5], ''))
    again = Study('real', store=tmp_path, project='p')
    for kind in (None, *KINDS): drawn(again.plot(kind))
    drawn(again.plot('contour', 'lr', 'act', goal='time'))
    assert again.plot('pareto').save(tmp_path/'front.svg').stat().st_size > 4000
    assert again.importance('time').index[0] == 'width' and again.importance(method='ped_anova').attrs['method'] == 'ped_anova'
    with pytest.raises(ValueError, match="'loss' is no goal; there is acc, time"): again.plot(goal='loss')
