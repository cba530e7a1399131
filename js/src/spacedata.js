// Settings and results of runs as places on axes. Pure functions: no document, no network. `node --test` runs them.
import {number} from './data.js'

const there = v => v !== null && v !== undefined && v !== ''
const text = v => (typeof v === 'number' ? number(v) : String(v))

// What can be an axis: settings with more than one value, then results that are numbers.
export function candidates(rows) {
  const seen = new Map()
  for (const row of rows) for (const k in row) {
    const v = row[k]
    if (!there(v) || !(k.startsWith('config.') || k.startsWith('summary.'))) continue
    const o = seen.get(k)
    if (!o) { seen.set(k, {first: v, differ: false, numeric: Number.isFinite(v)}); continue }
    if (!o.differ && v !== o.first) o.differ = true
    if (!o.numeric && Number.isFinite(v)) o.numeric = true
  }
  const settings = [...seen].filter(([k, o]) => k.startsWith('config.') && o.differ).map(o => o[0])
  const results = [...seen].filter(([k, o]) => k.startsWith('summary.') && o.numeric).map(o => o[0])
  return {settings, results}
}

// The axis of a column: `place(value)` between 0 and 1, or null for what has none. Numbers lie in decades where they span two or more.
export function axisOf(rows, key) {
  const values = rows.map(row => row[key]).filter(there), numbers = values.filter(v => Number.isFinite(v)), name = key.replace(/^(config|summary)\./, '')
  if (numbers.length && values.every(v => typeof v === 'number' || ['NaN', 'inf', '-inf'].includes(v))) {
    let lo = Math.min(...numbers), hi = Math.max(...numbers)
    const log = lo > 0 && hi / lo > 99, to = log ? Math.log : v => v, back = log ? Math.exp : v => v
    const width = to(hi) - to(lo) || 1, place = v => (Number.isFinite(v) && !(log && v <= 0) ? (lo === hi ? 0.5 : (to(v) - to(lo)) / width) : null)
    const value = at => back(to(lo) + at * width)
    return {key, name, log, lo, hi, place, value, ticks: lo === hi ? [{at: 0.5, text: text(lo)}] : ticks(lo, hi, log, place)}
  }
  const words = [...new Set(values.map(text))].sort((a, b) => a.localeCompare(b, undefined, {numeric: true}))
  const at = new Map(words.map((w, i) => [w, (i + 0.5) / words.length])), step = Math.ceil(words.length / 12)
  return {key, name, words, place: v => (there(v) ? at.get(text(v)) ?? null : null), value: p => words[Math.max(0, Math.min(words.length - 1, Math.floor(p * words.length)))],
    ticks: words.filter((_, i) => i % step === 0).map(w => ({at: at.get(w), text: w.length > 14 ? `${w.slice(0, 13)}…` : w}))}
}

function ticks(lo, hi, log, place) {
  if (log) {
    const out = []
    for (let e = Math.ceil(Math.log10(lo) - 1e-9); e <= Math.log10(hi) + 1e-9; e++) out.push(10 ** e)
    if (out.length > 1) return out.filter((_, i) => i % Math.ceil(out.length / 6) === 0).map(v => ({at: place(v), text: number(v)}))
  }
  const rough = (hi - lo) / 4, unit = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 2.5, 5, 10].map(o => o * unit).find(o => o >= rough)
  const out = []
  for (let v = Math.ceil(lo / step - 1e-9) * step; v <= hi + step * 1e-9; v += step) out.push({at: place(Math.abs(v) < step / 1e6 ? 0 : v), text: number(+v.toPrecision(10))})
  return out
}

// The rows that lie within every brush: `brushes` maps a column to [from, to] between 0 and 1.
export function brushed(rows, axes, brushes) {
  const of = new Map(axes.map(o => [o.key, o])), all = [...brushes].filter(([k]) => of.has(k))
  return rows.filter(row => all.every(([k, [a, b]]) => { const p = of.get(k).place(row[k]); return p !== null && p >= a - 1e-9 && p <= b + 1e-9 }))
}

// A brush in words.
export function said(axis, brush) {
  if (!brush) return `${axis.name}: all values`
  if (axis.words) { const kept = axis.words.filter(w => { const p = axis.place(w); return p >= brush[0] && p <= brush[1] }); return `${axis.name}: ${kept.join(', ') || 'none'}` }
  return `${axis.name}: ${number(+axis.value(brush[0]).toPrecision(3))} to ${number(+axis.value(brush[1]).toPrecision(3))}`
}

// The brush after a key: arrows move its lower end, with Shift its upper one; null for the whole axis.
export function nudged(brush, key, shift) {
  const [a, b] = brush || [0, 1], by = key === 'ArrowUp' ? 0.05 : -0.05, clip = v => Math.min(1, Math.max(0, Math.round(v * 1000) / 1000))
  const next = shift ? [a, Math.max(a, clip(b + by))] : [Math.min(b, clip(a + by)), b]
  return next[0] === 0 && next[1] === 1 ? null : next
}

// Brushes as a text for an address, and back; what can't be read is none.
const short = v => String(Math.round(v * 1000) / 1000)
export const written = brushes => [...brushes].map(([k, [a, b]]) => `${encodeURIComponent(k)}:${short(a)}:${short(b)}`).join(',')
export function read(text) {
  const out = new Map()
  for (const o of (text || '').split(',')) {
    const [k, a, b] = o.split(':'), from = Number(a), to = Number(b)
    let key = ''
    try { key = decodeURIComponent(k) } catch { continue }
    if (key && a && b && from >= 0 && from <= to && to <= 1) out.set(key, [from, to])
  }
  return out
}

// The nearest of the `dots` on the side that the arrow `key` points to, counting what lies off its way twice; without a dot, the leftmost.
export function beside(dots, dot, key) {
  if (!dot) return dots.reduce((a, b) => (a && a.x <= b.x ? a : b), null)
  const [dx, dy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[key]
  const far = o => { const x = o.x - dot.x, y = o.y - dot.y, on = x * dx + y * dy; return on > 0 ? on + 2 * Math.abs(x * dy + y * dx) : Infinity }
  return dots.reduce((a, b) => (far(b) < (a ? far(a) : Infinity) ? b : a), null)
}
