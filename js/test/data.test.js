import assert from 'node:assert/strict'
import {test} from 'node:test'
import {columns, duration, groups, hash, nearest, newMetrics, number, panelTitle, range, sorted, styles, unpack} from '../src/data.js'

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
  assert.deepEqual([0.25, 75, 3700, 90000, null].map(duration), ['0.3 s', '1 min 15 s', '1 h 1 min', '1 d 1 h', ''])
})

test('metrics that a row has and nobody knew yet', () => {
  assert.deepEqual(newMetrics({'summary.loss': 1, 'summary.acc': 2, 'summary.note': 'x', 'config.lr': 3}, ['acc']), ['loss'])
})
