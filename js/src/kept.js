// What a report keeps of its runs. Pure functions: no document, no network. `node --test` runs them.

// The lines of `heads`, of which `n` points are kept in all: steps and times as differences, values as float32. The lowest bytes of all
// numbers come first, then all second ones, and so on.
export function unfold(heads, n, p) {
  const steps = new Uint32Array(n), times = new Uint16Array(n), bits = new Uint32Array(n), values = new Float32Array(bits.buffer)
  const t = 4 * n, v = 6 * n
  for (let i = 0; i < n; i++) {
    steps[i] = p[i] | p[n + i] << 8 | p[2 * n + i] << 16 | p[3 * n + i] << 24
    times[i] = p[t + i] | p[t + n + i] << 8
    bits[i] = p[v + i] | p[v + n + i] << 8 | p[v + 2 * n + i] << 16 | p[v + 3 * n + i] << 24
  }
  let at = 0
  return heads.map(o => {
    const step = new Float64Array(o.n), time = new Float64Array(o.n), y = new Float64Array(o.n)
    for (let i = 0, s = o.s0, t = 0; i < o.n; i++, at++) {
      s += steps[at]; t = (t + times[at]) & 0xffff
      step[i] = s; time[i] = o.t0 + t * o.dt; y[i] = values[at] + o.y0
    }
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
  let start = a
  while (log && start < b - 1 && !(x[start] > 0)) start++
  const f = log ? v => (v > 0 ? Math.log(v) : -Infinity) : v => v
  const lo = f(x[start]), w = (f(x[b - 1]) - lo) / n || 1, keep = [], found = [-1, -1, -1, -1, -1]
  const flush = () => {
    found.sort((p, q) => p - q)
    for (let k = 0; k < 5; k++) if (found[k] >= 0 && found[k] !== found[k - 1]) keep.push(found[k])
  }
  let col = -1, low = -1, high = -1, bad = -1, begin = a
  const next = end => { if (end > begin) { found[0] = begin; found[1] = end - 1; found[2] = low; found[3] = high; found[4] = bad; flush() } }
  for (let i = a; i < b; i++) {
    const c = Math.max(0, Math.min(n - 1, Math.floor(((log ? f(x[i]) : x[i]) - lo) / w))), v = y[i]
    if (c !== col) { next(i); col = c; begin = i; low = high = bad = -1 }
    if (!Number.isFinite(v)) { if (bad < 0) bad = i; continue }
    if (low < 0 || v < y[low]) low = i
    if (high < 0 || v > y[high]) high = i
  }
  next(b)
  return keep
}

// What is drawn at once: more points than that take longer than one waits, and no spike needs them.
const DRAWN = 10000

// The answer to the view's question for lines, as it would unpack them.
export function series(lines, pairs) {
  const all = k => pairs.filter(o => o[0] === k).map(o => o[1]), one = (k, other) => (all(k).length ? all(k).at(-1) : other)
  const axis = one('x', 'step'), n = Math.max(1, Math.min(+one('n', 800), Math.floor(DRAWN / all('run').length))), smooth = +one('smooth', 0), lo = +one('lo', -Infinity), hi = +one('hi', Infinity)
  const out = []
  for (const run of all('run')) for (const metric of all('metric')) for (const weight of smooth ? [smooth, 0] : [0]) {
    const o = lines.find(o => o.run === run && o.metric === metric && o.smooth === weight)
    if (!o) continue
    const x = axis === 'step' ? o.step : axis === 'wall' ? o.time.map(v => v + o.started) : o.time
    const a = Math.max(0, first(x, lo) - 1), b = Math.min(o.n, hi === Infinity ? o.n : first(x, hi) + 1 + (x[first(x, hi)] === hi))
    const at = thin(x, o.y, a, b, n, !!one('log'))
    const about = {run, metric, raw: smooth > 0 && weight === 0, total: o.total, span: o.n ? [x[0], x[o.n - 1]] : [0, 0], last: o.last}
    out.push({...about, n: at.length, x: at.map(i => x[i]), y: at.map(i => o.y[i])})
  }
  return {lines: out}
}
