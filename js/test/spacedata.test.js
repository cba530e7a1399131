import assert from 'node:assert/strict'
import {test} from 'node:test'
import {axisOf, beside, brushed, candidates, nudged, read, said, written} from '../src/spacedata.js'

const rows = [
  {key: 'a', 'config.lr': 0.1, 'config.opt': 'adam', 'config.seed': 1, 'summary.loss': 1, 'summary.note': 'x'},
  {key: 'b', 'config.lr': 0.001, 'config.opt': 'sgd', 'config.seed': 1, 'summary.loss': 3},
  {key: 'c', 'config.lr': 0.0001, 'config.opt': null, 'config.seed': 1, 'summary.loss': 'NaN'},
]

test('settings that differ and results that are numbers', () => {
  assert.deepEqual(candidates(rows), {settings: ['config.lr', 'config.opt'], results: ['summary.loss']})
  assert.deepEqual(candidates([]), {settings: [], results: []})
})

test('numbers over decades lie in decades', () => {
  const o = axisOf(rows, 'config.lr')
  assert.equal(o.log, true)
  assert.deepEqual([0.0001, 0.001, 0.1].map(v => Math.round(o.place(v) * 1000)), [0, 333, 1000])
  assert.deepEqual(o.ticks.map(t => t.text), ['1.00e-4', '0.001', '0.01', '0.1'])
})

test('words have a place each, what is missing has none', () => {
  const o = axisOf(rows, 'config.opt')
  assert.deepEqual([o.place('adam'), o.place('sgd'), o.place(null)], [0.25, 0.75, null])
  assert.equal(axisOf(rows, 'summary.loss').place('NaN'), null)
})

test('one value stands in the middle', () => {
  const o = axisOf([{x: 5}, {x: 5}], 'x')
  assert.deepEqual([o.place(5), o.ticks], [0.5, [{at: 0.5, text: '5'}]])
})

test('ticks are round', () => {
  assert.deepEqual(axisOf([{x: 0.13}, {x: 9.7}], 'x').ticks.map(t => t.text), ['2.5', '5', '7.5'])
  assert.deepEqual(axisOf([{x: -1}, {x: 1}], 'x').ticks.map(t => t.text), ['-1', '-0.5', '0', '0.5', '1'])
})

test('brushes combine', () => {
  const axes = ['config.lr', 'config.opt', 'summary.loss'].map(k => axisOf(rows, k))
  const keys = b => brushed(rows, axes, new Map(b)).map(o => o.key)
  assert.deepEqual(keys([]), ['a', 'b', 'c'])
  assert.deepEqual(keys([['config.lr', [0, 0.5]]]), ['b', 'c'])
  assert.deepEqual(keys([['config.lr', [0, 0.5]], ['summary.loss', [0, 1]]]), ['b'])
  assert.deepEqual(keys([['config.opt', [0, 0.5]]]), ['a'])
})

test('a brush is moved by keys and put into words', () => {
  assert.deepEqual(nudged(null, 'ArrowUp', false), [0.05, 1])
  assert.deepEqual(nudged([0.05, 1], 'ArrowDown', false), null)
  assert.deepEqual(nudged([0.5, 0.5], 'ArrowDown', true), [0.5, 0.5])
  const o = axisOf(rows, 'config.lr')
  assert.equal(said(o, null), 'lr: all values')
  assert.equal(said(o, [0, 1]), 'lr: 1.00e-4 to 0.1')
  assert.equal(said(axisOf(rows, 'config.opt'), [0, 0.4]), 'opt: adam')
})

test('brushes come back from an address, what is none is left out', () => {
  const brushes = new Map([['config.a,b:c', [0.25, 1]], ['summary.loss', [0, 0.12345]]])
  assert.deepEqual([...read(written(brushes))], [['config.a,b:c', [0.25, 1]], ['summary.loss', [0, 0.123]]])
  assert.deepEqual([...read('x:1:0,y:0:2,z,:0:1,%:0:1,w:a:b,v::1')], [])
  assert.equal(read(undefined).size, 0)
})

test('arrows go to the nearest point on that side', () => {
  const dots = [[0, 0], [10, 1], [10, 30], [4, 9]].map(([x, y]) => ({x, y}))
  assert.equal(beside(dots, null, 'ArrowUp'), dots[0])
  assert.equal(beside(dots, dots[0], 'ArrowRight'), dots[1])
  assert.equal(beside(dots, dots[0], 'ArrowDown'), dots[3])
  assert.equal(beside(dots, dots[0], 'ArrowLeft'), null)
  assert.equal(beside([], null, 'ArrowLeft'), null)
})
