import assert from 'node:assert/strict'
import {test} from 'node:test'
import {Pushed} from '../src/pushed.js'

const line = (x, more = {}) => ({run: 'p/a', metric: 'loss', raw: false, total: x.length, x: Float64Array.from(x), y: Float64Array.from(x), n: x.length, ...more})
const ask = (...pairs) => [['x', 'step'], ['n', 50], ['smooth', '0'], ['metric', 'loss'], ['run', 'p/a'], ...pairs]

test('points that came later lie behind the whole line', () => {
  const o = new Pushed()
  o.add({x: 'step', smooth: '', log: '', runs: ['p/a'], lines: [line([0, 1])]})
  o.add({x: 'step', smooth: '', log: '', runs: ['p/a'], lines: [line([2], {tail: true, from: 2, total: 3})]})
  assert.deepEqual([...o.find(ask()).lines[0].x], [0, 1, 2])
  assert.equal(o.find(ask()).lines[0].n, 3)
})

test('what was not sent is not answered: another run, a zoom, another axis', () => {
  const o = new Pushed()
  o.add({x: 'step', smooth: '', log: '', runs: ['p/a'], lines: [line([0, 1])]})
  assert.equal(o.find(ask(['run', 'p/b'])), null)
  assert.equal(o.find(ask(['lo', 3])), null)
  assert.equal(o.find([['x', 'time'], ...ask().slice(1)]), null)
  assert.deepEqual(o.find([['metric', 'other'], ['run', 'p/a']]).lines, [])
})

test('a change of the axis forgets the lines', () => {
  const o = new Pushed()
  o.add({x: 'step', smooth: '', log: '', runs: ['p/a'], lines: [line([0, 1])]})
  o.add({x: 'time', smooth: '', log: '', runs: ['p/a'], lines: [line([5])]})
  assert.equal(o.find(ask()), null)
  assert.deepEqual([...o.find([['x', 'time'], ...ask().slice(1)]).lines[0].x], [5])
})

test('a line with a hole is no answer until it comes whole', () => {
  const o = new Pushed(), head = {x: 'step', smooth: '', log: '', runs: ['p/a']}
  o.add({...head, lines: [line([0, 1])]})
  o.add({...head, lines: [line([5], {tail: true, from: 5, total: 6})]})
  assert.equal(o.find(ask()), null)
  o.add({...head, lines: [line([0, 1, 2, 3, 4, 5])]})
  assert.equal(o.find(ask()).lines[0].n, 6)
})

test('news of a run that bring no line make its line old', () => {
  const o = new Pushed(), head = {x: 'step', smooth: '', log: '', runs: ['p/a']}
  o.add({...head, lines: [line([0, 1])]})
  o.news([{key: 'p/b'}], null)
  assert.equal(o.find(ask()).lines.length, 1)
  o.news([{key: 'p/a'}], null)
  assert.equal(o.find(ask()), null)
})

test('a zoomed chart may show a coarse line while nobody answers', () => {
  const o = new Pushed()
  o.add({x: 'step', smooth: '', log: '', runs: ['p/a'], lines: [line([0, 1])]})
  assert.equal(o.find(ask(['lo', 0.5]), true).lines[0].n, 2)
})
