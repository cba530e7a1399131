// Pure functions: no document, no network. `node --test` runs them.

// What `mlkit.ui.series.pack` wrote: a length, a JSON header, float32 positions and values of each line.
export function unpack(buffer) {
  if (!(buffer instanceof ArrayBuffer)) return buffer                     // a host had it unpacked already
  const n = new DataView(buffer).getUint32(0, true)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, n)))
  let at = 4 + n
  for (const o of head.lines) {
    o.x = Float64Array.from(new Float32Array(buffer, at, o.n), v => v + o.x0)
    o.y = Float64Array.from(new Float32Array(buffer, at + 4 * o.n, o.n), v => v + o.y0)
    at += 8 * o.n
  }
  return head
}

// Metrics by what is behind their last slash: train/loss and val/loss share a panel.
export function groups(metrics) {
  const found = new Map()
  for (const m of metrics) {
    const name = m.slice(m.lastIndexOf('/') + 1)
    found.set(name, [...(found.get(name) || []), m])
  }
  return [...found].map(([name, metrics]) => ({name, metrics}))
}

// Names of metrics in a row that aren't among `known`.
export function newMetrics(row, known) {
  return Object.keys(row).filter(k => k.startsWith('summary.') && typeof row[k] === 'number').map(k => k.slice(8)).filter(k => !known.includes(k))
}

// Okabe and Ito's colours, told apart by colour-blind readers, without black and yellow; dashes tell further ones apart.
export const PALETTE = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']
export const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]]

export const DASH_NAMES = ['solid', 'dashed', 'dotted', 'dash-dotted']

// What a panel is called: where several metrics share it, dashes tell them apart.
export function panelTitle(metrics) {
  if (metrics.length === 1) return metrics[0]
  return metrics.map((m, i) => `${m} (${DASH_NAMES[i % DASHES.length]})`).join(', ')
}

// A number that stays with a text: FNV-1a.
export function hash(text) {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

// Styles for runs: each wants the one that its id gives; where it is taken, the next free one. Older runs choose first.
export function styles(ids) {
  const all = PALETTE.length * DASHES.length, taken = new Map(), out = new Map()
  for (const id of [...ids].sort()) {
    const want = hash(id) % PALETTE.length
    let best = want
    for (let i = 0; i < all; i++) {
      const slot = (want + i) % PALETTE.length + PALETTE.length * Math.floor(i / PALETTE.length)
      if ((taken.get(slot) || 0) < (taken.get(best) || 0)) best = slot
      if (!taken.get(slot)) { best = slot; break }
    }
    taken.set(best, (taken.get(best) || 0) + 1)
    out.set(id, {color: PALETTE[best % PALETTE.length], dash: DASHES[Math.floor(best / PALETTE.length)]})
  }
  return out
}

// The position in the rising `x` that is nearest to `v`; -1 without any.
export function nearest(x, v) {
  if (!x.length) return -1
  let lo = 0, hi = x.length - 1
  while (lo < hi) {
    const mid = (lo + hi) >> 1
    if (x[mid] < v) lo = mid + 1
    else hi = mid
  }
  return lo > 0 && v - x[lo - 1] <= x[lo] - v ? lo - 1 : lo
}

// The range of finite values of the lines, between `lo` and `hi` of x, with some air; null without any.
export function range(lines, log, lo = -Infinity, hi = Infinity) {
  let a = Infinity, b = -Infinity
  for (const o of lines) {
    for (let i = 0; i < o.n; i++) {
      const v = o.y[i]
      if (o.x[i] < lo || o.x[i] > hi || !Number.isFinite(v) || (log && v <= 0)) continue
      if (v < a) a = v
      if (v > b) b = v
    }
  }
  if (a > b) return null
  if (log) return [a / 1.15, b * 1.15]
  const air = (b - a) * 0.06 || Math.abs(a) * 0.1 || 1
  return [a - air, b + air]
}

export function number(v) {
  if (v === null || v === undefined) return ''
  if (typeof v !== 'number') return String(v)
  if (!Number.isFinite(v)) return String(v)
  if (Number.isInteger(v) && Math.abs(v) < 1e6) return String(v)
  const a = Math.abs(v)
  return a !== 0 && (a < 1e-3 || a >= 1e6) ? v.toExponential(2).replace('e+', 'e') : String(+v.toPrecision(4))
}

export function duration(s) {
  if (s === null || s === undefined) return ''
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`
}

// Rows in order of a column, numbers before words, what is missing last in either direction.
export function sorted(rows, key, down) {
  const absent = v => v === null || v === undefined || v === '' || v !== v || v === 'NaN'
  const side = down ? -1 : 1
  return rows.map((row, i) => [row[key], i, row]).sort(([a, i], [b, j]) => {
    if (absent(a) || absent(b)) return absent(a) - absent(b) || i - j
    if (typeof a === 'number' && typeof b === 'number') return side * (a - b) || i - j
    if (typeof a !== typeof b) return side * (typeof a === 'number' ? -1 : 1)
    return side * String(a).localeCompare(String(b), undefined, {numeric: true}) || i - j
  }).map(o => o[2])
}

// Columns worth showing: settings that differ, then results.
export function columns(rows, most = 6) {
  const values = new Map()
  for (const row of rows) for (const k in row) {
    if (!k.startsWith('config.') && !k.startsWith('summary.')) continue
    if (!values.has(k)) values.set(k, {n: 0, set: new Set(), numeric: true})
    const o = values.get(k)
    o.n++
    if (o.set.size < 2) o.set.add(JSON.stringify(row[k]))
    if (typeof row[k] === 'string') o.numeric = false
  }
  const of = p => [...values].filter(([k]) => k.startsWith(p))
  const config = of('config.').filter(([, o]) => rows.length < 2 || o.set.size > 1 || o.n < rows.length).map(o => o[0]).slice(0, most)
  const axes = new Set('epoch epochs step steps iter iteration global_step batch'.split(' '))
  const summary = of('summary.').filter(([k]) => !axes.has(k.slice(8))).sort((a, b) => b[1].n - a[1].n).map(o => o[0]).slice(0, most)
  return [...config, ...summary]
}
