// The table of runs: sorts by itself, and tells its hooks what is chosen (choose), pointed at (light) and that the order changed (sorted).
import {columns, duration, number, sorted} from './data.js'
import {h} from './dom.js'

const PAGE = 100          // rows; more come when the end of these is in sight

export class RunTable {
  constructor(root, hooks) {
    Object.assign(this, {root, hooks, rows: [], main: null, chosen: new Set(), style: new Map(), sparks: new Map(), key: 'started', down: true})
    this.head = h('thead'); this.body = h('tbody')
    this.rest = []; this.most = PAGE
    root.append(h('table', {}, this.head, this.body))
    root.addEventListener('scroll', () => { if (root.scrollTop + 2 * root.clientHeight > root.scrollHeight) this.more() })
  }

  set(rows, more) { Object.assign(this, {rows}, more); this.draw() }

  get said() {
    const n = this.rows.length
    return `${n.toLocaleString('en')} ${n === 1 ? 'run' : 'runs'}, ${this.chosen.size} drawn`
  }

  draw() {
    const rows = sorted(this.rows, this.key, this.down), cols = ['duration', ...columns(rows)]
    const focus = this.root.contains(document.activeElement) ? document.activeElement.dataset : {}
    this.head.replaceChildren(h('tr', {}, ...['', 'name', 'status', 'spark', ...cols].map(k => this.heading(k))))
    this.body.replaceChildren(...rows.slice(0, this.most).map(row => this.row(row, cols)))
    this.rest = rows.slice(this.most).map(row => () => this.row(row, cols))
    if (focus.key) [...this.head.querySelectorAll('button')].find(o => o.dataset.key === focus.key)?.focus()
    if (focus.pick) [...this.body.querySelectorAll('input')].find(o => o.dataset.pick === focus.pick)?.focus()
    if (focus.open) [...this.body.querySelectorAll('.open')].find(o => o.dataset.open === focus.open)?.focus()
    this.drawSparks()
  }

  // The next rows.
  more() {
    if (!this.rest.length) return
    this.most += PAGE
    this.body.append(...this.rest.splice(0, PAGE).map(make => make()))
    this.drawSparks()
  }

  heading(k) {
    const th = h('th', {scope: 'col'})
    if (k === '') th.textContent = ' '
    else if (k === 'spark') { th.textContent = this.main || ''; th.title = 'The main metric over steps' }
    else {
      const on = this.key === k, b = h('button', {type: 'button', title: k}, k.replace(/^(config|summary)\./, '') + (on ? (this.down ? ' ↓' : ' ↑') : ''))
      b.dataset.key = k
      th.setAttribute('aria-sort', on ? (this.down ? 'descending' : 'ascending') : 'none')
      b.addEventListener('click', () => { this.down = on ? !this.down : false; this.key = k; this.most = PAGE; this.root.scrollTop = 0; this.draw(); this.hooks.sorted() })
      th.append(b)
    }
    return th
  }

  row(row, cols) {
    const name = row.name || row.id, on = this.chosen.has(row.key)
    const box = h('input', {type: 'checkbox', checked: on, 'aria-label': `Draw ${name}`}), dot = h('span', {className: 'swatch'})
    box.dataset.pick = row.key
    box.addEventListener('change', () => this.hooks.choose(row.key, box.checked))
    if (on && this.style.has(row.key)) dot.style.background = this.style.get(row.key).color
    const spark = h('canvas', {className: 'spark', width: 160, height: 40, 'aria-hidden': 'true'})
    spark.dataset.run = row.key
    const tr = h('tr', {}, h('td', {}, box), h('td', {title: row.notes ? `${name}\n${row.notes}` : name}, dot, this.hooks.open ? this.opener(row, name) : name),
      h('td', {className: row.status}, row.status), h('td', {}, spark), ...cols.map(k => this.cell(row, k)))
    tr.dataset.run = row.key
    for (const k of ['mouseenter', 'focusin']) tr.addEventListener(k, () => this.hooks.light(row.key))
    for (const k of ['mouseleave', 'focusout']) tr.addEventListener(k, () => this.hooks.light(null))
    return tr
  }

  opener(row, name) {
    const b = h('button', {type: 'button', className: 'open'}, name)
    b.dataset.open = row.key
    b.addEventListener('click', () => this.hooks.open(row.key))
    return b
  }

  cell(row, k) {
    const v = row[k], numeric = typeof v === 'number'
    const text = k === 'duration' ? duration(row.status === 'running' && row.started ? Date.now() / 1000 - row.started : v) : number(v)
    return h('td', {className: numeric || k === 'duration' ? 'num' : '', title: numeric ? String(v) : text}, text)
  }

  drawSparks() { for (const c of this.body.querySelectorAll('canvas.spark')) sparkline(c, this.sparks.get(c.dataset.run)) }
}

function sparkline(c, o) {
  if (!o?.n) return
  let lo = Infinity, hi = -Infinity, pen = false
  for (const v of o.y) if (Number.isFinite(v)) { lo = Math.min(lo, v); hi = Math.max(hi, v) }
  if (lo > hi) return
  const g = c.getContext('2d')
  g.clearRect(0, 0, 160, 40)
  g.strokeStyle = getComputedStyle(c).color; g.lineWidth = 2; g.beginPath()
  for (let i = 0; i < o.n; i++) {
    if (!Number.isFinite(o.y[i])) { pen = false; continue }
    const x = 2 + 156 * (o.x[i] - o.x[0]) / (o.x[o.n - 1] - o.x[0] || 1), y = 36 - 32 * (o.y[i] - lo) / (hi - lo || 1)
    pen ? g.lineTo(x, y) : g.moveTo(x, y); pen = true
  }
  g.stroke()
}
