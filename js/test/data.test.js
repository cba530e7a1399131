import assert from 'node:assert/strict'
import {test} from 'node:test'
import {banded, coarse, colourings, columns, duration, envelope, extent, fields, fitted, gathered, groups, hash, joined, logTicks, mean, moved, nearest, newMetrics, number,
  panelTitle, parted, range, sorted, styles, stylesBy, unpack, usual, within} from '../src/data.js'

function packed(lines) {
  const head = new TextEncoder().encode(JSON.stringify({lines: lines.map(o => ({n: o.x.length, x0: o.x0, y0: 0}))}))
  const size = Math.ceil(head.length / 4) * 4, n = lines.reduce((s, o) => s + 8 * o.x.length, 0)
  const out = new Uint8Array(4 + size + n).fill(32)
  new DataView(out.buffer).setUint32(0, size, true)
  out.set(head, 4)
  let at = 4 + size
  for (const o of lines) for (const a of [o.x, o.y]) { out.set(new Uint8Array(Float32Array.from(a).buffer), at); at += 4 * a.length }
  return out.buffer
}

test('a block gives back its lines, positions counted from their offset', () => {
  const {lines} = unpack(packed([{x: [0, .25], y: [1, NaN], x0: 1.7e9}, {x: [], y: [], x0: 0}, {x: [3], y: [4], x0: 0}]))
  assert.deepEqual([...lines[0].x], [1.7e9, 1.7e9 + .25])
  assert.ok(Number.isNaN(lines[0].y[1]))
  assert.deepEqual([[...lines[1].x], [...lines[2].y]], [[], [4]])
})

test('metrics with one last name share a panel', () => {
  assert.deepEqual(groups(['train/loss', 'acc', 'val/loss']), [{name: 'loss', metrics: ['train/loss', 'val/loss']}, {name: 'acc', metrics: ['acc']}])
})

test('dashes tell the metrics of a panel apart', () => {
  assert.equal(panelTitle(['acc']), 'acc')
  assert.equal(panelTitle(['train/loss', 'val/loss']), 'train/loss (solid), val/loss (dashed)')
})

test('a run looks the same each time, and runs differ while styles last', () => {
  const ids = Array.from({length: 24}, (_, i) => `p/run-${i}`)
  const a = styles(ids), b = styles([...ids].reverse())
  assert.deepEqual([...a].sort(), [...b].sort())
  assert.equal(new Set([...a.values()].map(o => JSON.stringify(o))).size, 24)
  assert.equal(styles(Array.from({length: 300}, (_, i) => `r${i}`)).size, 300)
  assert.equal(hash(''), 0x811c9dc5)
})

test('the nearest point is found by halving', () => {
  const x = [0, 1, 2, 10]
  assert.deepEqual([-5, 0.4, 0.6, 7, 99].map(v => nearest(x, v)), [0, 0, 1, 3, 3])
  assert.equal(nearest([], 1), -1)
})

test('the range leaves out what is no number, and what a log axis has no place for', () => {
  const o = {n: 4, x: [0, 1, 2, 3], y: [-1, NaN, Infinity, 100]}
  const [a, b] = range([o], false)
  assert.ok(a < -1 && b > 100)
  assert.ok(range([o], true)[0] > 0)
  assert.equal(range([{n: 1, x: [0], y: [NaN]}], false), null)
  const [lo, hi] = range([{n: 1, x: [0], y: [5]}], false)
  assert.ok(lo < 5 && 5 < hi)
})

test('rows sort by number, then by word; what is missing comes last both ways', () => {
  const rows = [2, null, 10, 'a', 'NaN', 1].map(v => ({v}))
  assert.deepEqual(sorted(rows, 'v', false).map(o => o.v), [1, 2, 10, 'a', null, 'NaN'])
  assert.deepEqual(sorted(rows, 'v', true).map(o => o.v).slice(-2), [null, 'NaN'])
  assert.deepEqual(sorted([{v: 'run 10'}, {v: 'run 9'}], 'v', false).map(o => o.v), ['run 9', 'run 10'])
})

test('columns are the settings that differ, and the results', () => {
  const rows = [{'config.lr': 1, 'config.seed': 3, 'summary.acc': .5, 'summary.epoch': 2}, {'config.lr': 2, 'config.seed': 3, 'summary.acc': .6}]
  assert.deepEqual(columns(rows), ['config.lr', 'summary.acc'])
})

test('numbers and durations are short', () => {
  assert.deepEqual([0, 12, 0.123456, 1e-5, 12345678, null, 'x', NaN].map(number), ['0', '12', '0.1235', '1.00e-5', '1.23e7', '', 'x', 'NaN'])
  assert.deepEqual([0.25, 75, 3700, 90000, null].map(duration), ['250 ms', '1 min 15 s', '1 h 1 min', '1 d 1 h', ''])
})

test('metrics that a row has and nobody knew yet', () => {
  assert.deepEqual(newMetrics({'summary.loss': 1, 'summary.acc': 2, 'summary.note': 'x', 'config.lr': 3}, ['acc']), ['loss'])
})

test('colours by a few values, or along a ramp of many numbers', () => {
  const rows = [1, 2, 2, null].map((lr, i) => ({key: `p/${i}`, 'config.lr': lr, 'config.same': 7}))
  assert.deepEqual(colourings(rows), ['config.lr'])
  const few = stylesBy(rows, 'config.lr')
  assert.deepEqual(few.legend.map(o => o.label).sort(), ['1', '2', 'none'])
  assert.equal(few.style.get('p/1').color, few.style.get('p/2').color)
  const many = stylesBy([...Array(20).keys()].map(i => ({key: `p/${i}`, 'config.lr': 10 ** (i / 5)})), 'config.lr')
  assert.equal(new Set([...many.style.values()].map(o => o.color)).size, 20)
  assert.equal(many.legend.length, 3)
})

test('a window moves and widens around a place, in decades where the axis is logarithmic', () => {
  assert.deepEqual(moved([0, 100], {factor: 0.5}), [25, 75])
  assert.deepEqual(moved([0, 100], {factor: 2, at: 0}), [0, 200])
  assert.deepEqual(moved([0, 100], {by: -0.25}), [-25, 75])
  const [a, b] = moved([1, 10000], {factor: 0.5}, true)
  assert.ok(Math.abs(a - 10) < 1e-9 && Math.abs(b - 1000) < 1e-9)
})

test('few points keep every spike and every gap', () => {
  for (let k = 0; k < 300; k++) {
    const n = 1 + Math.floor(Math.random() * 5000), x = Float64Array.from({length: n}, (_, i) => i), y = Float64Array.from({length: n}, Math.random)
    const at = Math.floor(Math.random() * n), sign = k % 2 ? 1 : -1
    y[at] = k % 3 ? sign * 100 : NaN
    const o = coarse({n, x, y}, 500)
    assert.ok(o.n <= 500 && o.x.length === o.n)
    assert.ok(o.x[0] === 0 && o.x[o.n - 1] === n - 1)
    if (k % 3) assert.ok([...o.x].some((v, i) => v === at && o.y[i] === sign * 100))
    else assert.ok([...o.y].some(v => v !== v))
  }
})

test('the points of a window, and one more on either side', () => {
  const o = {n: 5, x: [0, 1, 2, 3, 4]}
  assert.deepEqual(within(o, 1.5, 2.5), [1, 4])
  assert.deepEqual(within(o, -1, 9), [0, 5])
  assert.deepEqual(within(o, 9, 10), [4, 5])
  assert.deepEqual(within({n: 0, x: []}, 0, 1), [0, 0])
})

const line = y => ({n: y.length, x: Float64Array.from(y, (_, i) => i), y: Float64Array.from(y)})

test('one spike is not usual, a steep start and noise are', () => {
  const noise = Array.from({length: 400}, (_, i) => 1 + (i * 7919 % 101) / 101), spike = [...noise]
  spike[200] = 1000
  assert.deepEqual(usual([line(noise)], 0, 399).map(Math.round), [1, 2])
  assert.equal(usual([line(spike)], 0, 399)[1] < 2.01, true)
  const [lo, hi] = fitted([line(spike)], 0, 399)
  assert.equal(lo > 0.8 && hi < 2.3, true)
  assert.equal(fitted([line(noise)], 0, 399)[1] > 2, true)
  const fall = line(Array.from({length: 400}, (_, i) => 10 * Math.exp(-i / 30)))
  assert.equal(fitted([fall], 0, 399)[1] > 10, true, 'a curve that falls is shown whole')
  const flat = line([...Array(50).fill(0), 3, ...Array(50).fill(0)])
  assert.equal(fitted([flat], 0, 100)[1] > 3, true, 'without anything else to see the spike is it')
  assert.equal(fitted([line([NaN, NaN])], 0, 1), null)
  assert.equal(fitted([line([1, 500])], 0, 1)[1] > 500, true)
})

test('edges belong to the range', () => {
  const o = {...line([1, 2, 3]), low: [0, 1, -5], high: [2, 9, 4]}
  assert.deepEqual(extent([o], false, 0, 2), [-5, 9])
  assert.equal(extent([line([NaN])], false), null)
})

test('an envelope keeps the extremes of each column', () => {
  const o = line([0, 5, 1, NaN, 2, -3, 2, 2])
  assert.deepEqual(envelope(o, 0, 8, 2), {x: [0, 4], low: [0, -3], high: [5, 2]})
})

test('a mean gets its edges', () => {
  const of = (part, y) => ({run: '"a"', metric: 'm', part, ...line(y)})
  const [o, p] = banded([of('mean', [1]), of('low', [0]), of('high', [2]), {run: 'b', metric: 'm', ...line([7])}])
  assert.deepEqual([o.y[0], o.low[0], o.high[0], p.y[0], p.low], [1, 0, 2, 7, undefined])
})

test('rows gather by a value, in the order of their first', () => {
  const rows = [{g: 2, v: 1}, {g: '2', v: 5}, {g: 2, v: 3}, {v: 'NaN'}, {g: null}]
  assert.deepEqual(gathered(rows, 'g').map(o => [o.label, o.rows.length]), [['2', 2], ['2', 1], ['none', 2]])
  assert.equal(mean(gathered(rows, 'g')[0].rows, 'v'), 2)
  assert.equal(mean(gathered(rows, 'g')[2].rows, 'v'), null)
  assert.deepEqual(fields([{'config.a': 1, name: 'x'}, {'summary.b': 1}]), ['duration', 'config.a', 'summary.b'])
})

test('names survive the address, with commas and all', () => {
  const names = ['config.a,b', 'summary.100%', 'config.<b>', 'config.ü']
  assert.deepEqual(parted(joined(names)), names)
  assert.deepEqual(parted(''), [])
  assert.deepEqual(parted('%zz'), ['%zz'])
})

test('a logarithmic axis has a few lines, whatever it spans', () => {
  assert.deepEqual(logTicks(0.5, 200), [0.5, 1, 2, 5, 10, 20, 50, 100, 200])
  assert.deepEqual(logTicks(1e-3, 1e4), [1e-3, 1e-2, 0.1, 1, 10, 100, 1e3, 1e4])
  assert.deepEqual(logTicks(0.86, 0.88), [0.86, 0.865, 0.87, 0.875, 0.88])
  for (let k = 0; k < 400; k++) {
    const lo = 10 ** (Math.random() * 40 - 20), hi = lo * 10 ** (Math.random() ** 3 * 40) * 1.001, ticks = logTicks(lo, hi)
    assert.ok(ticks.length >= 2 && ticks.length <= 14 || hi / lo < 8, `${lo} ${hi} ${ticks}`)
    assert.ok(ticks.every((v, i) => v >= lo * 0.999 && v <= hi * 1.001 && (!i || v > ticks[i - 1])), `${lo} ${hi} ${ticks}`)
  }
})

test('a window between two points shows where their line runs', () => {
  const o = {n: 2, x: [0, 1], y: [0, 10]}
  assert.deepEqual(extent([o], false, 0.25, 0.5), [2.5, 5])
  assert.deepEqual(extent([o], false, 2, 3), null)
  assert.deepEqual(extent([{n: 3, x: [0, 1, 2], y: [0, 10, NaN]}], false, 0.5, 1.5), [5, 10])
})

test('a spike presses nothing flat, behind an average and on a logarithmic axis as well', () => {
  const n = 1000, x = Array.from({length: n}, (_, i) => i), y = x.map(i => 1 + (i % 7) / 10), spiked = y.map((v, i) => (i === 500 ? 1e30 : v))
  const slow = x.map(i => (i < 500 ? 1.3 : 1e29 * 0.9 ** (i - 500) + 1.3))
  const seen = fitted([{n, x, y: slow, raw: false}, {n, x, y: spiked, raw: true}], 0, n - 1)
  assert.ok(seen[1] < 3, seen)
  const log = fitted([{n, x, y: spiked, raw: false}], 0, n - 1, true)
  assert.ok(log[0] > 0.5 && log[1] < 4, log)
})
