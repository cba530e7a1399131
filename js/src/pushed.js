// The lines that a kernel sent unasked: whole ones, and later the points that came since.
import {unpack} from './data.js'

const AXES = ['x', 'smooth', 'log']

export class Pushed {
  constructor() { this.lines = new Map(); this.runs = new Set(); this.about = null }

  add(buffer) {
    const head = unpack(buffer), about = AXES.map(k => String(head[k] || '')).join(' ')
    if (about !== this.about) { this.lines.clear(); this.runs.clear(); this.about = about }
    const missed = new Set()
    for (const o of head.lines) {
      const key = `${o.run}\n${o.metric}\n${o.raw}`, old = this.lines.get(key)
      if (!o.tail) this.lines.set(key, o)
      else if (old?.total === o.from) this.lines.set(key, {...o, x: join(old.x, o.x), y: join(old.y, o.y), n: old.n + o.n})
      else missed.add(o.run)
    }
    for (const o of head.runs || []) if (!missed.has(o)) this.runs.add(o)
    for (const o of missed) this.forget(o)
  }

  // A line with a hole, or an old one, would lie: the kernel must be asked, or send it whole.
  forget(run) {
    this.runs.delete(run)
    for (const k of this.lines.keys()) if (k.startsWith(`${run}\n`)) this.lines.delete(k)
  }

  // News of runs came with a block, or without; what the block doesn't hold is old.
  news(rows, buffer) {
    const head = buffer && unpack(buffer), brought = new Set(head?.runs)
    for (const row of rows) if (!brought.has(row.key)) this.forget(row.key)
    if (head) this.add(head)
  }

  // The answer to a question about whole lines, if all of its runs were sent; null otherwise. `anyway`: in a window it is a coarse one.
  find(pairs, anyway = false) {
    const all = k => pairs.filter(p => p[0] === k).map(p => String(p[1])), runs = all('run'), metrics = all('metric')
    const about = AXES.map(k => { const v = all(k)[0] || (k === 'x' ? 'step' : ''); return v === '0' ? '' : v }).join(' ')
    if (about !== this.about || all('by').length || (all('lo').length && !anyway) || !runs.every(o => this.runs.has(o))) return null
    const lines = []
    for (const run of runs) for (const metric of metrics) for (const raw of [false, true]) {
      const o = this.lines.get(`${run}\n${metric}\n${raw}`)
      if (o) lines.push(o)
    }
    return {lines}
  }
}

function join(a, b) {
  const out = new Float64Array(a.length + b.length)
  out.set(a); out.set(b, a.length)
  return out
}
