// One panel: uPlot draws axes, grid, cursor and zoom; the lines are ours, since each has positions of its own.
import uPlot from 'uplot'
import {DASHES, coarse, moved, nearest, number, range, within} from './data.js'

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
    const bar = document.createElement('div')
    bar.className = 'bar'
    bar.append(this.heading)
    if (hooks.csv) {
      const b = document.createElement('button')
      b.type = 'button'; b.textContent = 'CSV'; b.title = 'All values of the drawn runs'
      b.addEventListener('click', () => hooks.csv(this))
      bar.append(b)
    }
    this.heard = document.createElement('p')
    this.heard.className = 'unseen'
    this.heard.setAttribute('aria-live', 'polite')
    this.root.append(bar, this.said, this.box, this.tip, this.heard)
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
        bind: {mousedown: (u, _, go) => e => (e.shiftKey && e.button === 0 && this.hooks.move ? this.pan(e) : go(e)), dblclick: () => () => { this.hooks.zoom(null); return null }}},
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
    this.plot.over.setAttribute('role', 'application')
    this.plot.over.setAttribute('aria-roledescription', 'chart')
    this.label()
    this.plot.over.addEventListener('keydown', e => this.key(e))
    this.plot.over.addEventListener('wheel', e => this.wheel(e), {passive: false})
    for (const k of ['mouseleave', 'blur']) this.plot.over.addEventListener(k, () => { this.keyed = false; this.tip.hidden = true })
    this.plot.over.addEventListener('mousemove', () => { this.keyed = false })
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
    return range(this.drawn, this.logy, lo, hi) || (this.logy ? [1, 10] : [0, 1])
  }

  // By Shift and arrows: a fiftieth of the chart further, and the values there are said.
  point(right, down) {
    const u = this.plot, {clientWidth: w, clientHeight: h} = u.over, {left, top} = u.cursor, at = (v, n) => Math.max(0, Math.min(n - 1, v))
    this.keyed = true
    u.setCursor(left < 0 ? {left: w / 2, top: h / 2} : {left: at(left + right * w / 50, w), top: at(top + down * h / 20, h)})
    this.heard.textContent = this.tip.hidden ? 'Nothing is drawn here' : [...this.tip.children].map(o => [...o.childNodes].map(c => c.textContent).filter(Boolean).join(' ')).join(', ')
  }

  key(e) {
    const side = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key]
    if (e.shiftKey && side) { e.preventDefault(); this.point(...side); return }
    const how = {'+': {factor: 0.5}, '=': {factor: 0.5}, '-': {factor: 2}, ArrowLeft: {by: -0.25}, ArrowRight: {by: 0.25}, Escape: null}[e.key]
    if (how === undefined || e.ctrlKey || e.metaKey || e.altKey) return
    e.preventDefault()
    this.hooks.zoom(how && moved(this.xrange(), how, this.logx))
  }

  // While the picture moves it is drawn from what is here, with few points; `zoom` then asks for the exact ones.
  get drawn() { return this.moving ? this.lines.map(o => coarse(o, 500, ...this.xrange())) : this.lines }

  wheel(e) {
    if (!(e.ctrlKey || e.metaKey) || !this.hooks.move) return
    e.preventDefault()
    const at = e.offsetX / this.plot.over.clientWidth, factor = Math.exp(Math.max(-100, Math.min(100, e.deltaY)) / 300)
    this.hooks.move(moved(this.window || this.xrange(), {factor, at}, this.logx))
    clearTimeout(this.still)
    this.still = setTimeout(() => { if (this.window) this.hooks.zoom(this.window) }, 80)
  }

  pan(e) {
    const from = this.xrange(), start = e.clientX, wide = this.plot.over.clientWidth
    const to = o => moved(from, {by: (start - o.clientX) / wide}, this.logx)
    const go = o => this.hooks.move(to(o))
    const end = o => { removeEventListener('mousemove', go); removeEventListener('mouseup', end); if (o.clientX !== start) this.hooks.zoom(to(o)) }
    addEventListener('mousemove', go); addEventListener('mouseup', end)
  }

  set(lines, styles, names) {
    Object.assign(this, {lines, styles, names, moving: false})
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
    const [lo, hi] = this.xrange(), xs = this.place('x', left, width), ys = this.place('y', top + height, -height)
    const few = this.lines.filter(o => !o.raw).length < 48
    for (const o of [...this.drawn].sort((a, b) => b.raw - a.raw)) {
      const style = this.styles.get(o.run) || {color: '#888', dash: []}
      c.globalAlpha = (o.raw ? 0.25 : 1) * (this.lit && this.lit !== o.run ? 0.15 : 1)
      c.strokeStyle = c.fillStyle = style.color
      c.lineWidth = ratio * (o.raw ? 0.8 : this.lit === o.run ? 2.4 : few ? 1.5 : 1)
      const dash = this.metrics?.length > 1 ? DASHES[this.metrics.indexOf(o.metric) % DASHES.length] : few ? style.dash : []
      c.setLineDash(o.raw || !few ? [] : dash.map(v => v * ratio))
      c.beginPath()
      let pen = false, alone = null
      for (let [i, end] = within(o, lo, hi); i < end; i++) {
        const x = o.x[i], y = o.y[i]
        if (!Number.isFinite(y) || (this.logy && y <= 0) || (this.logx && x <= 0)) { this.dot(alone, ratio); pen = false; alone = null; continue }
        const px = xs(x), py = ys(y)
        if (pen) { c.lineTo(px, py); alone = null }
        else { c.moveTo(px, py); pen = true; alone = [px, py] }
      }
      c.stroke()
      this.dot(alone, ratio)
    }
    c.restore()
  }

  // From a value to a place on the canvas, as uPlot's valToPos, without asking it for each point.
  place(name, start, length) {
    const {min, max, distr} = this.plot.scales[name]
    if (distr !== 3) return v => start + (v - min) / (max - min) * length
    const low = Math.log10(min), high = Math.log10(max)
    return v => start + (Math.log10(v) - low) / (high - low) * length
  }

  dot(at, ratio) { if (at) this.plot.ctx.fillRect(at[0] - 1.5 * ratio, at[1] - 1.5 * ratio, 3 * ratio, 3 * ratio) }

  name(title) { if (title !== this.title) { this.title = this.heading.textContent = title; this.label() } }
  label() { this.plot.over.setAttribute('aria-label', `${this.title}: chart. + and - zoom, arrows pan, Shift and arrows tell values, Escape shows all; Ctrl and the wheel zoom, Shift and dragging pan`) }

  // Points a run out; one that isn't drawn here changes nothing.
  light(run) { if (!this.lines.some(o => o.run === run)) run = null; if (this.lit !== run) { this.lit = run; this.plot.redraw(false) } }

  hover() {
    const u = this.plot, {left, top} = u.cursor
    if (left < 0 || !this.lines.length || !(this.keyed || u.over.matches(':hover'))) { this.tip.hidden = true; return }
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
    head.textContent = number(+v.toPrecision(7)) + (found.length > 15 ? `, 15 of ${found.length} ${this.many ? 'lines' : 'runs'}` : '')
    this.tip.replaceChildren(head, ...rows)
    this.tip.hidden = false
    const w = this.box.clientWidth, x = u.over.offsetLeft + left
    this.tip.style.left = `${x > w / 2 ? Math.max(0, x - this.tip.offsetWidth - 14) : x + 18}px`
  }

  destroy() { this.resize.disconnect(); this.plot.destroy(); this.root.remove() }
}
