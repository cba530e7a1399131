// One panel: uPlot draws axes, grid, cursor and zoom; the lines are ours, since each has positions of its own.
import uPlot from 'uplot'
import {DASHES, nearest, number, range} from './data.js'

export class Chart {
  constructor(root, title, hooks) {
    Object.assign(this, {title, hooks, lines: [], styles: new Map(), names: new Map(), logx: false, logy: false, window: null})
    this.root = document.createElement('section')
    this.root.className = 'panel'
    this.heading = document.createElement('h2')
    this.heading.textContent = title
    this.said = document.createElement('p')
    this.said.className = 'summary'
    this.box = document.createElement('div')
    this.box.className = 'plot'
    this.tip = document.createElement('div')
    this.tip.className = 'tip'
    this.tip.hidden = true
    this.root.append(this.heading, this.said, this.box, this.tip)
    root.append(this.root)
    this.make()
    this.resize = new ResizeObserver(() => {
      const w = this.box.clientWidth
      if (w && w !== this.plot.width) { this.plot.setSize({width: w, height: 240}); this.hooks.resized?.() }
    })
    this.resize.observe(this.box)
  }

  make() {
    this.plot?.destroy()
    const css = name => getComputedStyle(this.root).getPropertyValue(name).trim()
    const axis = {stroke: () => css('--dim'), grid: {stroke: () => css('--grid'), width: 1}, ticks: {show: false}, font: '11px system-ui'}
    const values = (u, vs) => vs.map(v => v === null ? '' : number(v))
    this.plot = new uPlot({
      width: this.box.clientWidth || 400, height: 240, legend: {show: false}, pxAlign: 0,
      cursor: {sync: {key: 'mlkit', scales: ['x', null]}, drag: {x: true, y: false, setScale: false}, points: {show: false},
        bind: {dblclick: () => () => { this.hooks.zoom(null); return null }}},
      scales: {x: {time: false, distr: this.logx ? 3 : 1, range: () => this.xrange()},
        y: {distr: this.logy ? 3 : 1, range: () => this.yrange()}},
      axes: [{...axis, size: 30, values}, {...axis, size: 58, values}],
      series: [{}, {show: true, paths: () => null, points: {show: false}}],
      hooks: {draw: [() => this.draw()], setCursor: [() => this.hover()],
        setSelect: [u => {
          if (u.select.width < 4) return
          const at = [u.select.left, u.select.left + u.select.width].map(o => u.posToVal(o, 'x'))
          u.setSelect({left: 0, width: 0, top: 0, height: 0}, false)
          this.hooks.zoom(at)
        }]},
    }, [[0, 1], [0, 1]], this.box)
    this.plot.over.tabIndex = 0
    this.plot.over.setAttribute('role', 'img')
    this.label()
    this.plot.over.addEventListener('keydown', e => this.key(e))
    this.plot.over.addEventListener('mouseleave', () => { this.tip.hidden = true })
  }

  xrange() {
    if (this.window) return this.window
    let a = Infinity, b = -Infinity
    for (const o of this.lines) {
      if (!o.n) continue
      const first = this.logx ? o.x.find(v => v > 0) ?? Infinity : o.x[0]
      a = Math.min(a, first); b = Math.max(b, o.x[o.n - 1])
    }
    if (a > b) return this.logx ? [1, 10] : [0, 1]
    return a === b ? (this.logx ? [a / 2, a * 2] : [a - 1, b + 1]) : [a, b]
  }

  yrange() {
    const [lo, hi] = this.xrange()
    return range(this.lines, this.logy, lo, hi) || (this.logy ? [1, 10] : [0, 1])
  }

  key(e) {
    const [a, b] = this.xrange(), w = b - a
    const to = {'+': [a + w / 4, b - w / 4], '=': [a + w / 4, b - w / 4], '-': [a - w / 2, b + w / 2], ArrowLeft: [a - w / 4, b - w / 4],
      ArrowRight: [a + w / 4, b + w / 4], Escape: null}[e.key]
    if (to === undefined) return
    e.preventDefault()
    this.hooks.zoom(to)
  }

  set(lines, styles, names) {
    Object.assign(this, {lines, styles, names})
    const n = new Set(lines.map(o => o.run)).size
    const points = lines.filter(o => !o.raw).reduce((s, o) => s + o.total, 0)
    const said = lines.length ? `${n} ${n === 1 ? 'run' : 'runs'}, ${points.toLocaleString('en')} points` : 'No selected run has logged this'
    this.said.textContent = lines.length && !range(lines, this.logy) ? `${said}, none that this axis can show` : said
    this.redraw()
  }

  redraw() { this.plot.setData([[...this.xrange()], [null, null]], true) }
  axes(logx, logy) { if (logx !== this.logx || logy !== this.logy) { Object.assign(this, {logx, logy}); this.make() } }

  draw() {
    const u = this.plot, c = u.ctx, ratio = devicePixelRatio, {left, top, width, height} = u.bbox
    c.save()
    c.beginPath(); c.rect(left, top, width, height); c.clip()
    c.lineJoin = 'round'
    const few = this.lines.filter(o => !o.raw).length < 48
    for (const o of [...this.lines].sort((a, b) => b.raw - a.raw)) {
      const style = this.styles.get(o.run) || {color: '#888', dash: []}
      c.globalAlpha = (o.raw ? 0.25 : 1) * (this.lit && this.lit !== o.run ? 0.15 : 1)
      c.strokeStyle = c.fillStyle = style.color
      c.lineWidth = ratio * (o.raw ? 0.8 : this.lit === o.run ? 2.4 : few ? 1.5 : 1)
      const dash = this.metrics?.length > 1 ? DASHES[this.metrics.indexOf(o.metric) % DASHES.length] : few ? style.dash : []
      c.setLineDash(o.raw || !few ? [] : dash.map(v => v * ratio))
      c.beginPath()
      let pen = false, alone = null
      for (let i = 0; i < o.n; i++) {
        const x = o.x[i], y = o.y[i]
        if (!Number.isFinite(y) || (this.logy && y <= 0) || (this.logx && x <= 0)) { this.dot(alone, ratio); pen = false; alone = null; continue }
        const px = u.valToPos(x, 'x', true), py = u.valToPos(y, 'y', true)
        if (pen) { c.lineTo(px, py); alone = null }
        else { c.moveTo(px, py); pen = true; alone = [px, py] }
      }
      c.stroke()
      this.dot(alone, ratio)
    }
    c.restore()
  }

  dot(at, ratio) { if (at) this.plot.ctx.fillRect(at[0] - 1.5 * ratio, at[1] - 1.5 * ratio, 3 * ratio, 3 * ratio) }

  name(title) { if (title !== this.title) { this.title = this.heading.textContent = title; this.label() } }
  label() { this.plot.over.setAttribute('aria-label', `${this.title}: chart. + and - zoom, arrows pan, Escape shows all`) }

  // Points a run out; one that isn't drawn here changes nothing.
  light(run) { if (!this.lines.some(o => o.run === run)) run = null; if (this.lit !== run) { this.lit = run; this.plot.redraw(false) } }

  hover() {
    const u = this.plot, {left, top} = u.cursor
    if (left < 0 || !this.lines.length || !u.over.matches(':hover')) { this.tip.hidden = true; return }
    const v = u.posToVal(left, 'x')
    const found = this.lines.filter(o => !o.raw && o.n).map(o => { const i = nearest(o.x, v); return {o, x: o.x[i], y: o.y[i]} })
      .sort((a, b) => b.y - a.y)
    const here = u.posToVal(top, 'y')
    const near = found.reduce((a, b) => Math.abs(b.y - here) < Math.abs((a?.y ?? Infinity) - here) ? b : a, null)
    const middle = Math.max(0, Math.min(found.indexOf(near) - 7, found.length - 15))
    const rows = found.slice(middle, middle + 15).map(({o, y}) => {
      const row = document.createElement('div'), mark = document.createElement('i'), name = document.createElement('span'), val = document.createElement('b')
      mark.style.background = this.styles.get(o.run)?.color
      name.textContent = this.names.get(o.run) + (this.many ? ` ${o.metric}` : '')
      val.textContent = number(y)
      if (o === near?.o) row.className = 'near'
      row.append(mark, name, val)
      return row
    })
    const head = document.createElement('div')
    head.textContent = number(+v.toPrecision(7)) + (found.length > 15 ? `, 15 of ${found.length} runs` : '')
    this.tip.replaceChildren(head, ...rows)
    this.tip.hidden = false
    const w = this.box.clientWidth, x = u.over.offsetLeft + left
    this.tip.style.left = `${x > w / 2 ? Math.max(0, x - this.tip.offsetWidth - 14) : x + 18}px`
  }

  destroy() { this.resize.disconnect(); this.plot.destroy(); this.root.remove() }
}
