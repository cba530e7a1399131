// Pure functions: no document, no network. `node --test` runs them.

// What `mlkit.ui.series.pack` wrote: a length, a JSON header, float32 positions and values of each line.
export function unpack(buffer) {
  if (!(buffer instanceof ArrayBuffer)) return buffer                     // a host had it unpacked already
  const n = new DataView(buffer).getUint32(0, true)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, n)))
  let at = 4 + n
  for (const o of head.lines) {
    const xs = new Float32Array(buffer, at, o.n), ys = new Float32Array(buffer, at + 4 * o.n, o.n)
    o.x = new Float64Array(o.n); o.y = new Float64Array(o.n)
    for (let i = 0; i < o.n; i++) { o.x[i] = xs[i] + o.x0; o.y[i] = ys[i] + o.y0 }     // five times as quick as Float64Array.from
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
  return Object.keys(row).filter(k => k.startsWith('summary.') && (typeof row[k] === 'number' || ['NaN', 'inf', '-inf'].includes(row[k]))).map(k => k.slice(8)).filter(k => !known.includes(k))
}

// Okabe and Ito's colours, told apart by colour-blind readers, without black and yellow, and four more that lie between them; dashes tell
// further ones apart.
export const PALETTE = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7f60d0', '#8f8b1f', '#8c564b', '#c2316f']
const FEW = 6             // Values that get a colour each; more numbers get a ramp
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

// What runs can be coloured by: fields and settings with more than one value.
export function colourings(rows) {
  const values = new Map(), same = (a, b) => a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b))
  for (const row of rows) for (const k in row) {
    if (!k.startsWith('config.') && k !== 'group' && k !== 'status' && k !== 'project') continue
    const o = values.get(k)
    if (!o) values.set(k, {first: row[k], differ: false})
    else if (!o.differ && !same(o.first, row[k])) o.differ = true
  }
  return [...values].filter(([, o]) => o.differ).map(([k]) => k)
}

// From dark blue over green to yellow, even in lightness: for numbers with many values.
const RAMP = [[68, 60, 140], [49, 104, 142], [33, 145, 140], [70, 190, 110], [200, 200, 40]]
export function ramp(t) {
  const at = Math.min(Math.max(t, 0), 1) * (RAMP.length - 1), i = Math.min(Math.floor(at), RAMP.length - 2)
  return `rgb(${RAMP[i].map((v, k) => Math.round(v + (RAMP[i + 1][k] - v) * (at - i))).join(' ')})`
}

// Styles by a value: one of the palette's colours for each of a few, else a ramp over the numbers, logarithmic where they span decades.
export function stylesBy(rows, key) {
  const values = [...new Set(rows.map(row => row[key]))].sort((a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b))))
  const label = v => (v === null || v === undefined ? 'none' : number(v)), numbers = values.filter(v => Number.isFinite(v))
  const few = values.length <= FEW || numbers.length < values.length
  const [lo, hi] = [numbers[0], numbers[numbers.length - 1]], log = lo > 0 && hi / lo > 30
  const place = v => (log ? Math.log(v / lo) / Math.log(hi / lo) : (v - lo) / (hi - lo || 1))
  const colour = v => (few ? PALETTE[values.indexOf(v) % PALETTE.length] : ramp(place(v)))
  const dash = v => (few ? DASHES[Math.floor(values.indexOf(v) / PALETTE.length) % DASHES.length] : [])
  const shown = few ? values.slice(0, 24) : [lo, values[Math.floor(values.length / 2)], hi]
  return {style: new Map(rows.map(row => [row.key, {color: colour(row[key]), dash: dash(row[key])}])),
    legend: shown.map(v => ({label: label(v), color: colour(v)}))}
}

// The window [a, b] made `factor` times as wide around `at`, then moved by `by` of its width; in decades where the axis is logarithmic.
export function moved([a, b], {factor = 1, at = 0.5, by = 0}, log = false) {
  const to = log && a > 0 ? Math.log : v => v, back = log && a > 0 ? Math.exp : v => v, lo = to(a), w = to(b) - lo
  const start = lo + w * (at - at * factor + by)
  return [back(start), back(start + w * factor)]
}

// The points of a line between `lo` and `hi` of its rising x, and one more on either side: from, to.
export function within(o, lo, hi) {
  let a = 0, b = o.n
  for (let c = o.n; a < c;) { const mid = (a + c) >> 1; if (o.x[mid] < lo) a = mid + 1; else c = mid }
  for (let c = a; c < b;) { const mid = (c + b) >> 1; if (o.x[mid] <= hi) c = mid + 1; else b = mid }
  return [Math.max(a - 1, 0), Math.min(b + 1, o.n)]
}

// At most `most` points of a line, for pictures that move: the first, last, smallest and largest of each stretch, and one that is no number.
export function coarse(o, most = 500, lo = -Infinity, hi = Infinity) {
  const [from, to] = within(o, lo, hi), n = to - from
  if (n <= most) return o
  const stretches = Math.floor(most / 5), at = []
  for (let k = 0; k < stretches; k++) {
    const a = from + Math.floor(k * n / stretches), b = from + Math.floor((k + 1) * n / stretches)
    let low = -1, high = -1, odd = -1
    for (let i = a; i < b; i++) {
      const v = o.y[i]
      if (!Number.isFinite(v)) { if (odd < 0) odd = i; continue }
      if (low < 0 || v < o.y[low]) low = i
      if (high < 0 || v > o.y[high]) high = i
    }
    at.push(...[...new Set([a, low, high, odd, b - 1])].filter(i => i >= 0).sort((p, q) => p - q))
  }
  const pick = a => a && Float64Array.from(at, i => a[i])
  return {...o, n: at.length, x: pick(o.x), y: pick(o.y), low: pick(o.low), high: pick(o.high)}
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

// The value of a line's point `i` as far as the window shows it: of one beyond an edge, where the line to its neighbour crosses that edge.
function shown(x, y, i, lo, hi, n) {
  const edge = x[i] < lo ? lo : x[i] > hi ? hi : null, j = edge === lo ? i + 1 : i - 1
  if (edge === null) return y[i]
  if (j < 0 || j >= n || (edge === lo ? x[j] < lo : x[j] > hi)) return NaN
  return y[i] + (y[j] - y[i]) * (edge - x[i]) / (x[j] - x[i])
}

// The smallest and largest finite value of the lines, and of the edges around them, between `lo` and `hi` of x; null without any.
export function extent(lines, log, lo = -Infinity, hi = Infinity) {
  let a = Infinity, b = -Infinity
  for (const o of lines) {
    const [from, end] = within(o, lo, hi)
    for (const y of o.low ? [o.y, o.low, o.high] : [o.y]) for (let i = from; i < end; i++) {
      const v = o.x[i] < lo || o.x[i] > hi ? shown(o.x, y, i, lo, hi, o.n) : y[i]
      if (!Number.isFinite(v) || (log && v <= 0)) continue
      if (v < a) a = v
      if (v > b) b = v
    }
  }
  return a > b ? null : [a, b]
}

// The extent with some air.
export function range(lines, log, lo, hi) { const all = extent(lines, log, lo, hi); return all && airy(all, log) }

function airy([a, b], log) {
  const f = b > a ? Math.min(1.15, (b / a) ** 0.06) : 1.15
  if (log) return [a / f, b * f]
  const air = (b - a) * 0.06 || Math.abs(a) * 0.1 || 1
  return [a - air, b + air]
}

// The range of what is usual between `lo` and `hi` of x: a value counts when, in one of the two neighbouring stretches of its line, another goes
// as far. A lone spike doesn't; a first steep fall over several stretches does. Null without any.
export function usual(lines, lo, hi, n = 120, log = false) {
  let a = Infinity, b = -Infinity
  for (const o of lines) {
    const low = new Float64Array(n).fill(Infinity), high = new Float64Array(n).fill(-Infinity), scale = n / (hi - lo || 1)
    const [from, end] = within(o, lo, hi)
    for (const y of o.low ? [o.low, o.high] : [o.y]) for (let i = from; i < end; i++) {
      const v = o.x[i] < lo || o.x[i] > hi ? shown(o.x, y, i, lo, hi, o.n) : y[i]
      if (!Number.isFinite(v) || (log && v <= 0)) continue
      const k = Math.max(0, Math.min(n - 1, Math.floor((o.x[i] - lo) * scale)))
      if (v < low[k]) low[k] = v
      if (v > high[k]) high[k] = v
    }
    const there = [...low.keys()].filter(k => low[k] < Infinity), few = there.length < 4
    there.forEach((k, i) => {
      const [p, q] = [there[i - 1] ?? there[1] ?? k, there[i + 1] ?? there[there.length - 2] ?? k]
      a = Math.min(a, few ? low[k] : Math.max(low[k], Math.min(low[p], low[q])))
      b = Math.max(b, few ? high[k] : Math.min(high[k], Math.max(high[p], high[q])))
    })
  }
  return a > b ? null : [a, b]
}

// The axis at first: the usual range where all of it is more than four times as wide, so that one spike doesn't press a curve flat; on a
// logarithmic axis in decades. An average that a spike has dragged along is no measure of what is usual, so the values behind it are asked. Null
// without values.
export function fitted(lines, lo, hi, log = false) {
  const raw = lines.filter(o => o.raw), all = extent(lines, log, lo, hi), most = all && usual(raw.length ? raw : lines, lo, hi, 120, log)
  const size = ([p, q]) => (log ? Math.log10(q / p) : q - p)
  if (!most || size(most) <= 0 || size(all) < 4 * size(most)) return all && airy(all, log)
  const air = size(most) * 0.15, full = airy(all, log)
  if (log) return [Math.max(most[0] / 10 ** air, full[0]), Math.min(most[1] * 10 ** air, full[1])]
  return [Math.max(most[0] - air, full[0]), Math.min(most[1] + air, full[1])]
}

// Where a logarithmic axis from `lo` to `hi` has its lines: each decade, or each second, third and so on where there are many; between few of
// them also at 2 and 5; within less than one as on a linear axis.
export function logTicks(lo, hi, most = 8) {
  const first = Math.ceil(Math.log10(lo) - 1e-9), last = Math.floor(Math.log10(hi) + 1e-9), decades = last - first + 1
  if (decades < 2) {
    const raw = (hi - lo) / 5, ten = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(v => v * ten).find(v => v >= raw)
    if (hi / lo < 8) return Array.from({length: Math.floor(hi / step + 1e-9) - Math.ceil(lo / step - 1e-9) + 1}, (_, i) => +((Math.ceil(lo / step - 1e-9) + i) * step).toPrecision(12))
  }
  const by = Math.ceil(decades / most), out = []
  for (let k = first - 1; k <= last + 1; k++) {
    if (k % by) continue
    for (const m of decades <= 3 ? [1, 2, 5] : [1]) { const v = +`${m}e${k}`; if (v >= lo * (1 - 1e-9) && v <= hi * (1 + 1e-9)) out.push(v) }
  }
  return out
}

// The smallest and largest value of each of `n` columns between `lo` and `hi`: what a thick line of many points fills.
export function envelope(o, lo, hi, n) {
  const x = [], low = [], high = [], wide = (hi - lo) / n || 1
  let column = null
  for (let [i, end] = within(o, lo, hi); i < end; i++) {
    const v = o.y[i], k = Math.floor((o.x[i] - lo) / wide), last = x.length - 1
    if (!Number.isFinite(v)) continue
    if (k === column) { low[last] = Math.min(low[last], v); high[last] = Math.max(high[last], v) }
    else { x.push(o.x[i]); low.push(v); high.push(v); column = k }
  }
  return {x, low, high}
}

// Lines that came as a mean, a lower and an upper edge become one each, with `low` and `high`.
export function banded(lines) {
  const of = part => new Map(lines.filter(o => o.part === part).map(o => [`${o.metric}\n${o.run}`, o.y]))
  const low = of('low'), high = of('high')
  return lines.filter(o => !['low', 'high'].includes(o.part))
    .map(o => (o.part === 'mean' ? {...o, low: low.get(`${o.metric}\n${o.run}`), high: high.get(`${o.metric}\n${o.run}`)} : o))
}

// The text of a point in time; seconds since the epoch.
export function clock(v) {
  const d = new Date(v * 1000), two = n => String(n).padStart(2, '0')
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
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
  if (s < 0.95) return `${Math.round(1000 * s)} ms`
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
    const o = values.get(k)
    if (!o) { values.set(k, {n: 1, first: row[k], differ: false}); continue }
    o.n++
    if (!o.differ && row[k] !== o.first && JSON.stringify(row[k]) !== JSON.stringify(o.first)) o.differ = true
  }
  const of = p => [...values].filter(([k]) => k.startsWith(p))
  const config = of('config.').filter(([, o]) => rows.length < 2 || o.differ || o.n < rows.length).map(o => o[0]).slice(0, most)
  const axes = new Set('epoch epochs step steps iter iteration global_step batch'.split(' '))
  const summary = of('summary.').filter(([k]) => !axes.has(k.slice(8))).sort((a, b) => b[1].n - a[1].n).map(o => o[0]).slice(0, most)
  const project = new Set(rows.map(row => row.project)).size > 1 ? ['project'] : []
  return [...project, ...config, ...summary]
}

// All that a column may show.
export function fields(rows) {
  const found = new Set(['duration'])
  for (const row of rows) for (const k in row) if (k.startsWith('config.') || k.startsWith('summary.') || k === 'project' || k === 'id' || k === 'group') found.add(k)
  return [...found]
}

// Rows that have the same value of a field, in the order in which the first of each comes.
export function gathered(rows, key) {
  const found = new Map()
  for (const row of rows) {
    const v = row[key], label = v === null || v === undefined || v === '' ? 'none' : number(v), id = label === 'none' ? 'none' : `${typeof v} ${v}`
    if (!found.has(id)) found.set(id, {id, label, rows: []})
    found.get(id).rows.push(row)
  }
  return [...found.values()]
}

// The mean of the numbers that rows have in a field; null without any.
export function mean(rows, key) {
  let n = 0, sum = 0
  for (const row of rows) if (Number.isFinite(row[key])) { n++; sum += row[key] }
  return n ? sum / n : null
}

// Names as one text for the address, and back; a name may hold a comma.
export const joined = names => names.map(k => k.replace(/[%,]/g, encodeURIComponent)).join(',')
export const parted = text => text.split(',').filter(Boolean).map(k => { try { return decodeURIComponent(k) } catch { return k } })
