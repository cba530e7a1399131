// One panel: uPlot draws axes, grid, cursor and zoom; the lines are ours, since each has positions of its own.
import {unmask} from './locale.js'                                      // before uPlot
import uPlot from 'uplot'
import {DASHES, clock, coarse, envelope, extent, fitted, logTicks, moved, nearest, number, range, within} from './data.js'
import {h} from './dom.js'

unmask()

const DAY = '\n{YYYY}-{MM}-{DD}'
const TIMES = [[86400, '{YYYY}-{MM}-{DD}', null, null, null, null, null, null, 1], [60, '{HH}:{mm}', DAY, null, DAY, null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', DAY, null, DAY, null, null, null, 1]]

export class Chart {
  constructor(root, title, hooks) {
    Object.assign(this, {title, hooks, lines: [], styles: new Map(), names: new Map(), logx: false, logy: false, wall: false, whole: false, window: null})
    this.heading = h('h2', {}, title)
    this.said = h('p', {className: 'summary'})
    this.box = h('div', {className: 'plot'})
    this.tip = h('div', {className: 'tip', hidden: true})
    this.heard = h('p', {className: 'unseen', 'aria-live': 'polite'})
    this.fit = h('button', {type: 'button', hidden: true})
    this.fit.addEventListener('click', () => hooks.fit(this))
    const bar = h('div', {className: 'bar'}, this.heading, this.fit)
    if (hooks.csv) {
      const b = h('button', {type: 'button', title: 'All values of the drawn runs'}, 'CSV')
      b.addEventListener('click', () => hooks.csv(this))
      bar.append(b)
    }
    this.root = h('section', {className: 'panel'}, bar, this.said, this.box, this.tip, this.heard)
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
    const logs = {splits: (u, i, lo, hi) => logTicks(lo, hi), filter: (u, vs) => vs}
    this.plot = new uPlot({
      width: this.box.clientWidth || 400, height: 240, legend: {show: false}, pxAlign: 0,
      cursor: {sync: {key: 'mlkit', scales: ['x', null]}, drag: {x: true, y: false, setScale: false}, points: {show: false},
        bind: {mousedown: (u, _, go) => e => (e.shiftKey && e.button === 0 && this.hooks.move && this.lines.length ? this.pan(e) : go(e)), dblclick: () => () => { this.hooks.zoom(null); return null }}},
      scales: {x: {time: this.wall, distr: this.logx ? 3 : 1, range: () => this.xrange()},
        y: {distr: this.logy ? 3 : 1, range: () => this.y ||= this.yrange()}},
      axes: [{...axis, ...(this.logx && logs), size: this.wall ? 42 : 30, values: this.wall ? TIMES : values}, {...axis, ...(this.logy && logs), size: 58, values}],
      series: [{}, {show: true, paths: () => null, points: {show: false}}],
      hooks: {draw: [() => this.draw()], setCursor: [() => this.hover()],
        setSelect: [u => {
          if (u.select.width < 4 || !this.lines.length) return
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
    return (this.whole ? range(this.drawn, this.logy, lo, hi) : fitted(this.drawn, lo, hi, this.logy)) || (this.logy ? [1, 10] : [0, 1])
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
    if (how && !this.lines.length) return
    this.hooks.zoom(how && moved(this.xrange(), how, this.logx))
  }

  // While the picture moves it is drawn from what is here, with few points; `zoom` then asks for the exact ones.
  get drawn() { return this.moving ? this.lines.map(o => coarse(o, this.lines.length > 50 ? 250 : 500, ...this.xrange())) : this.lines }

  wheel(e) {
    if (!(e.ctrlKey || e.metaKey) || !this.hooks.move || !this.lines.length) return
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

  // `why` says why there are no lines.
  set(lines, styles, names, why = 'None of the drawn runs has logged this') {
    Object.assign(this, {lines, styles, names, moving: false})
    const n = new Set(lines.map(o => o.run)).size, means = lines.some(o => o.part), of = (k, one, many) => `${k.toLocaleString('en')} ${k === 1 ? one : many}`
    const points = lines.filter(o => !o.raw).reduce((s, o) => s + o.total, 0)
    const said = lines.length ? `${means ? of(n, 'group', 'groups') : of(n, 'run', 'runs')}, ${of(points, 'point', 'points')}` : why
    const below = this.logy && lines.some(o => o.y.some(v => v <= 0))
    this.summary = !lines.length ? said : !range(lines, this.logy) ? `${said}, none that this axis can show` : below ? `${said}; values of 0 and below are not shown` : said
    this.redraw()
  }

  // What is asked for takes a while, or could not be had.
  wait() { if (!this.lines.length) this.said.textContent = 'Loading…' }

  // What the axis leaves out is marked at its edge, said, and a click away.
  tell() {
    const all = extent(this.lines, this.logy, ...this.xrange()), [min, max] = this.y, beyond = []
    if (all && all[1] > max) beyond.push(`up to ${number(all[1])}`)
    if (all && all[0] < min) beyond.push(`down to ${number(all[0])}`)
    this.said.textContent = beyond.length ? `${this.summary}; values go ${beyond.join(' and ')}` : this.summary
    this.fit.hidden = !beyond.length && !this.whole
    this.fit.textContent = this.whole ? 'Usual range' : 'All values'
  }

  redraw() { this.y = this.yrange(); this.plot.setData([[...this.xrange()], [null, null]], true); if (!this.moving) this.tell() }
  axes(o) { if (Object.keys(o).some(k => o[k] !== this[k])) { Object.assign(this, o, {y: null}); this.make() } }

  draw() {
    const u = this.plot, c = u.ctx, ratio = devicePixelRatio, {left, top, width, height} = u.bbox
    c.save()
    c.beginPath(); c.rect(left, top, width, height); c.clip()
    c.lineJoin = 'round'
    const [lo, hi] = this.xrange(), xs = this.place('x', left, width), ys = this.place('y', top + height, -height)
    const few = this.lines.filter(o => !o.raw).length < 48, columns = width / ratio
    for (const o of [...this.drawn].sort((a, b) => b.raw - a.raw)) {
      const style = this.styles.get(o.run) || {color: '#888', dash: []}, dim = this.lit && this.lit !== o.run ? 0.15 : 1
      c.strokeStyle = c.fillStyle = style.color
      const [from, end] = within(o, lo, hi), dense = o.raw && end - from > columns && !this.logx
      if (o.low || dense) this.area(o.low ? o : envelope(o, lo, hi, columns), xs, ys, 0.2 * dim)
      if (dense) continue
      c.globalAlpha = (o.raw ? 0.25 : 1) * dim
      c.lineWidth = ratio * (o.raw ? 0.8 : this.lit === o.run ? 2.4 : few ? 1.5 : 1)
      const dash = this.metrics?.length > 1 ? DASHES[this.metrics.indexOf(o.metric) % DASHES.length] : few ? style.dash : []
      c.setLineDash(o.raw || !few ? [] : dash.map(v => v * ratio))
      c.beginPath()
      let pen = false, alone = null
      for (let i = from; i < end; i++) {
        const x = o.x[i], y = o.y[i]
        if (!Number.isFinite(y) || (this.logy && y <= 0) || (this.logx && x <= 0)) { this.dot(alone, ratio); pen = false; alone = null; continue }
        const px = xs(x), py = ys(y)
        if (pen) { c.lineTo(px, py); alone = null }
        else { c.moveTo(px, py); pen = true; alone = [px, py] }
      }
      c.stroke()
      this.dot(alone, ratio)
      this.marks(o, from, end, xs, ratio)
    }
    c.restore()
  }

  // Fill what lies between `low` and `high`.
  area({x, low, high}, xs, ys, alpha) {
    const c = this.plot.ctx, at = [...x.keys()].filter(i => Number.isFinite(low[i]) && Number.isFinite(high[i]) && !(this.logy && low[i] <= 0) && !(this.logx && x[i] <= 0))
    if (!at.length) return
    c.globalAlpha = alpha
    c.beginPath()
    for (const i of at) c.lineTo(xs(x[i]), ys(high[i]))
    for (const i of at.reverse()) c.lineTo(xs(x[i]), ys(low[i]))
    c.closePath(); c.fill()
  }

  // Triangles where a line leaves the axis, at most one in six pixels.
  marks(o, from, end, xs, ratio) {
    const {min, max} = this.plot.scales.y, {top, height} = this.plot.bbox, c = this.plot.ctx, size = 4 * ratio, last = {[top]: -1e9, [top + height]: -1e9}
    c.globalAlpha = 1
    for (let i = from; i < end; i++) {
      const up = (o.high || o.y)[i] > max
      if (this.logy && (o.low || o.y)[i] <= 0 && !up) continue
      if (!up && !((o.low || o.y)[i] < min)) continue
      const px = xs(o.x[i]), edge = up ? top : top + height, way = up ? 1 : -1
      if (px - last[edge] < 6 * ratio) continue
      last[edge] = px
      c.beginPath(); c.moveTo(px, edge); c.lineTo(px - size, edge + way * 1.6 * size); c.lineTo(px + size, edge + way * 1.6 * size); c.closePath(); c.fill()
    }
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
    const found = this.lines.filter(o => !o.raw && o.n).map(o => { const i = nearest(o.x, v); return {o, x: o.x[i], y: o.y[i], low: o.low?.[i], high: o.high?.[i]} })
      .sort((a, b) => b.y - a.y)
    const here = u.posToVal(top, 'y')
    const near = found.reduce((a, b) => Math.abs(b.y - here) < Math.abs((a?.y ?? Infinity) - here) ? b : a, null)
    const middle = Math.max(0, Math.min(found.indexOf(near) - 7, found.length - 15))
    const rows = found.slice(middle, middle + 15).map(({o, y, low, high}) => {
      const mark = h('i')
      mark.style.background = this.styles.get(o.run)?.color
      return h('div', {className: o === near?.o ? 'near' : ''}, mark, h('span', {}, this.names.get(o.run) + (this.many ? ` ${o.metric}` : '')),
        h('b', {}, number(y) + (o.low ? ` (${number(low)} to ${number(high)})` : '')))
    })
    const head = h('div', {}, (this.wall ? clock(v) : number(+v.toPrecision(7))) + (found.length > 15 ? `, 15 of ${found.length} lines` : ''))
    this.tip.replaceChildren(head, ...rows)
    this.tip.hidden = false
    const w = this.box.clientWidth, x = u.over.offsetLeft + left
    this.tip.style.left = `${x > w / 2 ? Math.max(0, x - this.tip.offsetWidth - 14) : x + 18}px`
  }

  destroy() { this.resize.disconnect(); this.plot.destroy(); this.root.remove() }
}
