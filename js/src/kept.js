// What a report keeps of its runs. Pure functions: no document, no network. `node --test` runs them.

// Byte planes back to numbers: all lowest bytes first, then all second ones, and so on.
const joined = (bytes, n, size) => {
  const out = new Uint8Array(n * size)
  for (let k = 0; k < size; k++) for (let i = 0; i < n; i++) out[i * size + k] = bytes[k * n + i]
  return out.buffer
}

// The lines of `heads`, of which `n` points are kept in all: steps and times as differences, values as float32.
export function unfold(heads, n, bytes) {
  const steps = new Uint32Array(joined(bytes.subarray(0, 4 * n), n, 4)), times = new Uint16Array(joined(bytes.subarray(4 * n, 6 * n), n, 2))
  const values = new Float32Array(joined(bytes.subarray(6 * n, 10 * n), n, 4))
  let at = 0
  return heads.map(o => {
    const step = new Float64Array(o.n), time = new Float64Array(o.n), y = new Float64Array(o.n)
    let s = o.s0, t = 0
    for (let i = 0; i < o.n; i++) {
      s += steps[at + i]; t += times[at + i]
      step[i] = s; time[i] = o.t0 + t * o.dt; y[i] = values[at + i] + o.y0
    }
    at += o.n
    return {...o, step, time, y}
  })
}

const first = (x, v) => {
  let lo = 0, hi = x.length
  while (lo < hi) { const mid = (lo + hi) >> 1; if (x[mid] < v) lo = mid + 1; else hi = mid }
  return lo
}

// Which of the points from `a` to before `b` draw the same picture as all of them in `n` columns: the first, last, smallest and largest
// of each, and the first that is no number, as mlkit.ui.series.thin does.
export function thin(x, y, a, b, n, log = false) {
  if (b - a <= 4 * n) return Array.from({length: Math.max(0, b - a)}, (_, i) => a + i)
  const f = log ? v => (v > 0 ? Math.log(v) : -Infinity) : v => v
  let start = a
  while (log && start < b - 1 && !(x[start] > 0)) start++
  const lo = f(x[start]), w = (f(x[b - 1]) - lo) / n || 1, keep = []
  let col = null, found = null
  const flush = () => { if (found) keep.push(...[...new Set(found.filter(i => i >= 0))].sort((p, q) => p - q)) }
  for (let i = a; i < b; i++) {
    const c = Math.max(0, Math.min(n - 1, Math.floor((f(x[i]) - lo) / w)))
    if (c !== col) { flush(); col = c; found = [i, i, -1, -1, -1] }
    found[1] = i
    if (!Number.isFinite(y[i])) { if (found[4] < 0) found[4] = i; continue }
    if (found[2] < 0 || y[i] < y[found[2]]) found[2] = i
    if (found[3] < 0 || y[i] > y[found[3]]) found[3] = i
  }
  flush()
  return keep
}

// The block that mlkit.ui.series.pack would have made.
export function pack(lines) {
  const heads = lines.map(({about, x, y}) => ({...about, n: x.length, x0: x.length ? x[0] : 0, y0: about.y0 || 0}))
  let text = JSON.stringify({lines: heads})
  const size = new TextEncoder().encode(text).length, pad = (4 - size % 4) % 4
  const head = new TextEncoder().encode(text + ' '.repeat(pad)), out = new ArrayBuffer(4 + head.length + 8 * heads.reduce((s, o) => s + o.n, 0))
  new DataView(out).setUint32(0, head.length, true)
  new Uint8Array(out, 4, head.length).set(head)
  let at = 4 + head.length
  lines.forEach(({x, y}, i) => {
    new Float32Array(out, at, x.length).set(x.map(v => v - heads[i].x0))
    new Float32Array(out, at + 4 * x.length, x.length).set(y.map(v => v - heads[i].y0))
    at += 8 * x.length
  })
  return out
}

// The answer to the view's question for lines.
export function series(lines, pairs) {
  const all = k => pairs.filter(o => o[0] === k).map(o => o[1]), one = (k, other) => (all(k).length ? all(k).at(-1) : other)
  const axis = one('x', 'step'), n = Math.max(1, +one('n', 800)), smooth = +one('smooth', 0), lo = +one('lo', -Infinity), hi = +one('hi', Infinity)
  const out = []
  for (const run of all('run')) for (const metric of all('metric')) for (const weight of smooth ? [smooth, 0] : [0]) {
    const o = lines.find(o => o.run === run && o.metric === metric && o.smooth === weight)
    if (!o) continue
    const x = axis === 'step' ? o.step : axis === 'wall' ? o.time.map(v => v + o.started) : o.time
    const a = Math.max(0, first(x, lo) - 1), b = Math.min(o.n, hi === Infinity ? o.n : first(x, hi) + 2)
    const at = thin(x, o.y, a, b, n, !!one('log'))
    const about = {run, metric, raw: smooth > 0 && weight === 0, total: o.total, span: o.n ? [x[0], x[o.n - 1]] : [0, 0], last: o.last, y0: o.y0}
    out.push({about, x: at.map(i => x[i]), y: at.map(i => o.y[i])})
  }
  return pack(out)
}
