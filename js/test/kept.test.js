import assert from 'node:assert/strict'
import {test} from 'node:test'
import {series, thin, unfold} from '../src/kept.js'

const noise = n => Float64Array.from({length: n}, (_, i) => Math.sin(i * 12.9898) * 43758.5453 % 1)
const steps = n => Float64Array.from({length: n}, (_, i) => i)

test('byte planes become numbers again', () => {
  const bits = [...new Uint32Array(Float32Array.from([1.5, NaN, -2]).buffer)], planes = [0, 8, 16, 24].flatMap(k => bits.map(v => v >>> k & 255))
  const bytes = Uint8Array.from([0, 2, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 255, 1, 0, 0, 0, ...planes])
  const [a, b] = unfold([{n: 2, s0: 10, t0: .5, dt: .01, y0: 100}, {n: 1, s0: 0, t0: 0, dt: 1, y0: 0}], 3, bytes)
  assert.deepEqual([[...a.step], [...a.y], [...b.step], [...b.y]], [[10, 12], [101.5, NaN], [65543, ], [-2]])
  assert.ok(Math.abs(a.time[1] - 3.05) < 1e-9)
})

test('thinning keeps first, last, smallest, largest and every gap', () => {
  for (const log of [false, true]) for (const spike of [0, 1, 4999, 5000, 9999]) {
    const x = steps(10000), y = noise(10000)
    y[spike] = 77; y[(spike + 300) % 10000] = NaN
    const at = thin(x, y, 0, 10000, 50, log)
    assert.ok(at.length <= 250 && at[0] === 0 && at.at(-1) === 9999)
    assert.ok(at.every((v, i) => !i || v > at[i - 1]))
    assert.ok(at.includes(spike) && at.some(i => Number.isNaN(y[i])))
  }
})

test('few points are all kept, and a window has a neighbour on either side', () => {
  assert.deepEqual(thin(steps(9), noise(9), 2, 5, 800), [2, 3, 4])
  const line = {run: 'p/a', metric: 'loss', smooth: 0, n: 9, total: 9, y0: 0, started: 1e9, step: steps(9), time: steps(9), y: noise(9), last: null}
  const ask = (...more) => series([line], [['run', 'p/a'], ['metric', 'loss'], ['n', 100], ...more]).lines
  assert.deepEqual([...ask(['lo', 3.5], ['hi', 5.5])[0].x], [3, 4, 5, 6])
  assert.deepEqual([...ask(['x', 'wall'])[0].x].slice(0, 2), [1e9, 1e9 + 1])
  assert.deepEqual(ask(['run', 'p/b']).length, 1)
})

test('a smoothed line comes with the raw one behind it', () => {
  const of = smooth => ({run: 'p/a', metric: 'loss', smooth, n: 2, total: 50, y0: 0, started: 0, step: steps(2), time: steps(2), y: noise(2), last: 1})
  const {lines} = series([of(0), of(.9)], [['run', 'p/a'], ['metric', 'loss'], ['smooth', '0.9']])
  assert.deepEqual(lines.map(o => [o.raw, o.total]), [[false, 50], [true, 50]])
})

