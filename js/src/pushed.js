// The lines that a kernel sent unasked: whole ones, and later the points that came since.
import {unpack} from './data.js'

const AXES = ['x', 'smooth', 'log']

export class Pushed {
  constructor() { this.lines = new Map(); this.runs = new Set(); this.about = null }

  add(buffer) {
    const head = unpack(buffer), about = AXES.map(k => String(head[k] || '')).join(' ')
    if (about !== this.about) { this.lines.clear(); this.runs.clear(); this.about = about }
    for (const o of head.runs || []) this.runs.add(o)
    for (const o of head.lines) {
      const key = `${o.run}\n${o.metric}\n${o.raw}`, old = o.tail && this.lines.get(key)
      this.lines.set(key, old ? {...o, x: join(old.x, o.x), y: join(old.y, o.y), n: old.n + o.n} : o)
    }
  }

  // The answer to a question about whole lines, if all of its runs were sent; null otherwise.
  find(pairs) {
    const all = k => pairs.filter(p => p[0] === k).map(p => String(p[1])), runs = all('run'), metrics = all('metric')
    const about = AXES.map(k => { const v = all(k)[0] || (k === 'x' ? 'step' : ''); return v === '0' ? '' : v }).join(' ')
    if (about !== this.about || all('lo').length || !runs.every(o => this.runs.has(o))) return null
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
