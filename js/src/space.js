// Settings against results: parallel coordinates with brushes, a scatter, and the importance of each setting; over all runs that are listed.
import {axisOf, beside, brushed, candidates, nudged, read, said, written} from './spacedata.js'
import {number} from './data.js'
import {h} from './dom.js'

const TALL = 220, TOP = 10, BOTTOM = 14, SIDE = 56, MOST = 9

export class Space {
  constructor(root, {source, choose, open, where, remember}) {
    Object.assign(this, {source, choose, openRun: open, where, remember, rows: [], brushes: new Map(), lit: null, style: new Map()})
    const select = label => h('label', {}, `${label} `, h('select'))
    this.labels = {result: select('result'), x: select('x'), y: select('y')}
    this.keep = h('button', {type: 'button'})
    this.clear = h('button', {type: 'button'}, 'Clear')
    this.heads = h('div', {className: 'axes'})
    this.canvas = h('canvas', {role: 'img'})
    this.scatter = h('canvas', {role: 'application', tabIndex: 0, 'aria-roledescription': 'scatter'})
    this.heard = h('p', {className: 'unseen', 'aria-live': 'polite'})
    this.tip = h('div', {className: 'tip', hidden: true})
    this.bars = h('div', {className: 'shares'})
    this.none = h('p', {className: 'summary', hidden: true}, 'No setting differs among these runs, or none has a result.')
    this.body = h('div', {},
      h('p', {className: 'summary'}, this.labels.result, ' ', this.keep, ' ', this.clear, ' Drag along an axis, or over the points below, to choose.'),
      h('div', {className: 'lines'}, this.heads, this.canvas),
      h('div', {className: 'two'}, h('div', {}, h('p', {className: 'summary'}, this.labels.x, ' ', this.labels.y), h('div', {className: 'cloud'}, this.scatter, this.tip, this.heard)),
        h('div', {}, h('h3', {}, 'Importance of the settings'), this.bars)))
    this.root = h('details', {className: 'space'}, h('summary', {}, 'Settings and results'), this.none, this.body)
    root.append(this.root)
    this.root.addEventListener('toggle', () => { if (this.open) { this.fill(); this.draw(); this.ask() } remember() })
    for (const [k, o] of Object.entries(this.labels)) o.lastChild.addEventListener('change', () => { if (k === 'result') { this.asked = null; this.ask() } this.draw(); remember() })
    this.keep.addEventListener('click', () => this.choose(this.inside().map(o => o.key)))
    this.clear.addEventListener('click', () => { this.brushes.clear(); this.brushed() })
    this.body.addEventListener('keydown', e => { if (e.key === 'Escape' && this.brushes.size && !e.defaultPrevented) { this.brushes.clear(); this.brushed() } })
    this.canvas.addEventListener('pointerdown', e => this.drag(e))
    this.scatter.addEventListener('pointermove', e => this.point(e))
    this.scatter.addEventListener('pointerleave', () => this.tell(null))
    this.scatter.addEventListener('pointerdown', e => this.frame(e))
    this.scatter.addEventListener('keydown', e => this.key(e))
    this.scatter.addEventListener('blur', () => this.tell(null))
    this.resize = new ResizeObserver(() => this.draw())
    this.resize.observe(this.body)
  }

  get open() { return this.root.open }
  set open(on) { this.root.open = on }
  get state() { return {space: this.open ? '1' : '', result: this.open ? this.labels.result.lastChild.value : '', brush: this.open ? written(this.brushes) : ''} }
  recall(o) { this.open = !!o.space; this.wanted = o.result; this.brushes = read(o.brush) }

  set(rows, style, main) {
    Object.assign(this, {rows, style, main})
    this.root.hidden = !rows.length
    if (this.open) { this.fill(); this.draw(); this.ask() }
  }

  // The axes to choose from.
  fill() {
    const {settings, results} = candidates(this.rows), all = [...settings, ...results]
    const fill = (label, keys, first) => {
      const o = label.lastChild, was = o.value
      if (keys.join() !== [...o.options].map(p => p.value).join()) o.replaceChildren(...keys.map(k => h('option', {value: k}, k.replace(/^(config|summary)\./, ''))))
      o.value = keys.includes(was) ? was : keys.includes(first) ? first : keys[0] || ''
    }
    fill(this.labels.result, results, this.wanted || `summary.${this.main}`)
    fill(this.labels.x, all, settings[0]); fill(this.labels.y, all, this.labels.result.lastChild.value)
    this.settings = settings
    this.none.hidden = settings.length > 0 && results.length > 0; this.body.hidden = !this.none.hidden
  }

  brushed() { this.draw(); this.remember() }
  inside() { return brushed(this.rows, this.every || [], this.brushes) }
  light(key) { if (this.lit !== key) { this.lit = key; this.draw() } }

  // -- parallel coordinates
  size(canvas, tall) {
    const ratio = devicePixelRatio, wide = canvas.parentElement.clientWidth
    canvas.width = wide * ratio; canvas.height = tall * ratio
    canvas.style.width = `${wide}px`; canvas.style.height = `${tall}px`
    const c = canvas.getContext('2d')
    c.scale(ratio, ratio)
    c.font = '11px system-ui'
    return [c, wide]
  }
  at(i) { return this.axes.length < 2 ? SIDE : SIDE + i * (this.wide - 2 * SIDE) / (this.axes.length - 1) }
  up(p) { return TOP + (1 - p) * (TALL - TOP - BOTTOM) }
  css(name) { return getComputedStyle(this.root).getPropertyValue(name).trim() }

  draw() {
    if (!this.open || !this.rows.length || !this.settings || !this.body.clientWidth) return
    const result = this.labels.result.lastChild.value
    this.axes = [...this.settings.slice(0, MOST - 1), result].map(k => axisOf(this.rows, k))
    this.over = ['x', 'y'].map(k => axisOf(this.rows, this.labels[k].lastChild.value))
    this.every = [...this.axes, ...this.over]
    for (const k of [...this.brushes.keys()]) if (!this.every.some(o => o.key === k)) this.brushes.delete(k)
    const [c, wide] = this.size(this.canvas, TALL), kept = new Set(this.inside().map(o => o.key))
    this.wide = wide
    const order = [...this.rows].sort((a, b) => kept.has(a.key) - kept.has(b.key) || (a.key === this.lit) - (b.key === this.lit))
    c.lineJoin = 'round'
    for (const row of order) {
      const on = kept.has(row.key)
      c.strokeStyle = on ? this.style.get(row.key)?.color || this.css('--dim') : this.css('--line')
      c.globalAlpha = !on ? 0.35 : this.lit && this.lit !== row.key ? 0.25 : this.rows.length > 300 ? 0.35 : 0.75
      c.lineWidth = this.lit === row.key ? 2.5 : 1.2
      c.beginPath()
      let pen = false
      this.axes.forEach((o, i) => {
        const p = o.place(row[o.key])
        if (p === null) { pen = false; return }
        pen ? c.lineTo(this.at(i), this.up(p)) : c.moveTo(this.at(i), this.up(p)); pen = true
      })
      c.stroke()
    }
    c.globalAlpha = 1; c.lineWidth = 1
    this.axes.forEach((o, i) => this.axis(c, o, i))
    this.names()
    this.canvas.setAttribute('aria-label', `${kept.size} of ${this.rows.length} runs over ${this.axes.map(o => o.name).join(', ')}`)
    this.keep.textContent = `Draw these ${kept.size}`
    this.clear.disabled = !this.brushes.size
    this.cloud(kept)
  }

  axis(c, o, i) {
    const x = this.at(i), brush = this.brushes.get(o.key)
    c.strokeStyle = c.fillStyle = this.css('--dim')
    c.beginPath(); c.moveTo(x, this.up(0)); c.lineTo(x, this.up(1)); c.stroke()
    for (const t of o.ticks) {
      const wide = c.measureText(t.text).width
      c.fillStyle = this.css('--bg'); c.globalAlpha = 0.75
      c.fillRect(x - wide - 8, this.up(t.at) - 6, wide + 4, 13)
      c.globalAlpha = 1; c.fillStyle = this.css('--dim')
      c.fillText(t.text, x - wide - 6, this.up(t.at) + 4)
    }
    if (!brush) return
    c.fillStyle = this.css('--accent'); c.globalAlpha = 0.35
    c.fillRect(x - 6, this.up(brush[1]), 12, Math.max(2, this.up(brush[0]) - this.up(brush[1])))
    c.globalAlpha = 1
  }

  // The names stand above their axes as buttons, so that keys can brush as well.
  names() {
    const active = this.heads.getRootNode().activeElement, focus = this.heads.contains(active) ? active.dataset.axis : null   // marimo's root is a shadow
    this.heads.replaceChildren(...this.axes.map((o, i) => {
      const brush = this.brushes.get(o.key), b = h('button', {type: 'button', title: `${said(o, brush)}. Arrows move the lower end, with Shift the upper one`}, o.name)
      b.dataset.axis = o.key
      b.setAttribute('aria-label', said(o, brush))
      b.style.left = `${this.at(i)}px`
      b.style.maxWidth = `${Math.max(48, (this.wide - 2 * SIDE) / Math.max(1, this.axes.length - 1) - 8)}px`
      if (brush) b.classList.add('on')
      b.addEventListener('click', () => { this.brushes.delete(o.key); this.brushed() })
      b.addEventListener('keydown', e => {
        if (e.key === 'Escape') this.brushes.delete(o.key)
        else if (e.key === 'ArrowUp' || e.key === 'ArrowDown') { const next = nudged(this.brushes.get(o.key), e.key, e.shiftKey); next ? this.brushes.set(o.key, next) : this.brushes.delete(o.key) }
        else return
        e.preventDefault()
        this.brushed()
      })
      return b
    }))
    if (focus) [...this.heads.children].find(o => o.dataset.axis === focus)?.focus()
  }

  drag(e) {
    const i = this.axes.findIndex((_, i) => Math.abs(e.offsetX - this.at(i)) < 14)
    if (i < 0) return
    const key = this.axes[i].key, box = this.canvas.getBoundingClientRect()
    const place = o => Math.min(1, Math.max(0, 1 - (o.clientY - box.top - TOP) / (TALL - TOP - BOTTOM))), from = place(e)
    const move = o => { const to = place(o); this.brushes.set(key, [Math.min(from, to), Math.max(from, to)]); this.draw() }
    const end = o => {
      removeEventListener('pointermove', move); removeEventListener('pointerup', end)
      if (Math.abs(place(o) - from) < 0.01) this.brushes.delete(key)
      this.brushed()
    }
    addEventListener('pointermove', move); addEventListener('pointerup', end)
    e.preventDefault()
  }

  // -- the scatter
  cloud(kept) {
    const [c, wide] = this.size(this.scatter, TALL), [x, y] = this.over, px = p => 58 + p * (wide - 74), py = p => this.up(0.04 + p * 0.92) - 8
    c.strokeStyle = this.css('--grid'); c.fillStyle = this.css('--dim')
    for (const t of x.ticks) { c.beginPath(); c.moveTo(px(t.at), TOP); c.lineTo(px(t.at), TALL - 18); c.stroke(); c.textAlign = 'center'; c.fillText(t.text, px(t.at), TALL - 4) }
    for (const t of y.ticks) { c.beginPath(); c.moveTo(52, py(t.at)); c.lineTo(wide - 8, py(t.at)); c.stroke(); c.textAlign = 'right'; c.fillText(t.text, 46, py(t.at) + 4) }
    this.dots = []
    for (const row of [...this.rows].sort((a, b) => kept.has(a.key) - kept.has(b.key))) {
      const p = x.place(row[x.key]), q = y.place(row[y.key])
      if (p === null || q === null) continue
      const on = kept.has(row.key), dot = {row, x: px(p), y: py(q)}
      if (on) this.dots.push(dot)
      c.globalAlpha = on ? 0.85 : 0.3
      c.fillStyle = on ? this.style.get(row.key)?.color || this.css('--dim') : this.css('--line')
      c.beginPath(); c.arc(dot.x, dot.y, this.lit === row.key ? 6 : 3.5, 0, 7); c.fill()
    }
    c.globalAlpha = 1
    this.marked(c, x, y, px, py)
    this.scatter.setAttribute('aria-label', `${y.name} against ${x.name}, ${this.dots.length} runs. Arrows go from point to point, Enter opens its run`)
  }

  // What the brushes leave of the scatter: a frame, or a band where only one of its axes has a brush.
  marked(c, x, y, px, py) {
    const [p, q] = [x, y].map(o => this.brushes.get(o.key))
    if (!p && !q) return
    const [[left, right], [low, high]] = [p || [-0.02, 1.02], q || [-0.02, 1.02]]
    c.fillStyle = c.strokeStyle = this.css('--accent')
    c.globalAlpha = 0.1; c.fillRect(px(left), py(high), px(right) - px(left), py(low) - py(high))
    c.globalAlpha = 0.6; c.strokeRect(px(left), py(high), px(right) - px(left), py(low) - py(high))
    c.globalAlpha = 1
  }

  // Dragging over the points brushes both of their axes; a click opens the point's run.
  frame(e) {
    if (e.button) return
    const box = this.scatter.getBoundingClientRect(), wide = box.width, [x, y] = this.over, clip = v => Math.min(1, Math.max(0, v))
    const place = o => [clip((o.clientX - box.left - 58) / (wide - 74)), clip(((TALL - BOTTOM - 8 - (o.clientY - box.top)) / (TALL - TOP - BOTTOM) - 0.04) / 0.92)]
    const from = place(e), row = this.near(e), far = o => Math.abs(o.clientX - e.clientX) + Math.abs(o.clientY - e.clientY) > 4
    let dragged = false
    const move = o => {
      dragged ||= far(o)
      if (!dragged) return
      const to = place(o), span = k => [Math.min(from[k], to[k]), Math.max(from[k], to[k])]
      this.brushes.set(x.key, span(0))
      if (y.key !== x.key) this.brushes.set(y.key, span(1))
      this.draw()
    }
    const end = () => {
      for (const [k, f] of [['pointermove', move], ['pointerup', end], ['pointercancel', end]]) removeEventListener(k, f)
      if (dragged) this.remember()
      else if (row) this.openRun?.(row.key)
    }
    for (const [k, f] of [['pointermove', move], ['pointerup', end], ['pointercancel', end]]) addEventListener(k, f)
    e.preventDefault()
  }

  near(e) {
    let best = null, far = 144
    for (const o of this.dots || []) { const d = (o.x - e.offsetX) ** 2 + (o.y - e.offsetY) ** 2; if (d < far) { far = d; best = o } }
    return best?.row
  }
  point(e) { this.tell(this.near(e), e.offsetX, e.offsetY) }

  // By arrows: the next point on that side, and what it is.
  key(e) {
    const on = this.dots?.find(o => o.row.key === this.lit)
    if (e.key === 'Enter' && on && this.openRun) { e.preventDefault(); this.openRun(on.row.key); return }
    if (!e.key.startsWith('Arrow') || e.ctrlKey || e.metaKey || e.altKey) return
    e.preventDefault()
    const next = beside(this.dots, on, e.key)
    if (next) { this.tell(next.row, next.x, next.y); this.heard.textContent = [...this.tip.children].map(o => [...o.childNodes].map(c => c.textContent).join(' ')).join(', ') }
  }

  tell(row, x, y) {
    this.tip.hidden = !row
    this.scatter.style.cursor = row && this.openRun ? 'pointer' : ''
    if (row) {
      this.tip.replaceChildren(h('div', {className: 'near'}, row.name?.trim() || row.id), ...this.over.map(o => h('div', {}, h('span', {}, o.name), h('b', {}, number(row[o.key])))))
      this.tip.style.left = `${Math.min(x + 14, this.scatter.clientWidth - this.tip.offsetWidth - 4)}px`
      this.tip.style.top = `${Math.max(0, y - this.tip.offsetHeight - 8)}px`
    }
    this.light(row?.key || null)
  }

  // -- importance, asked for once for each result and set of runs
  async ask() {
    const result = this.labels.result.lastChild.value.replace(/^summary\./, ''), about = `${result}\n${this.where()}\n${this.rows.length}`
    if (!this.open || !result || this.asked === about || !this.source.can?.has('importance')) { this.bars.parentElement.hidden = !this.source.can?.has('importance'); return }
    this.asked = about
    if (!this.bars.children.length) this.bars.replaceChildren(h('p', {className: 'summary'}, 'Working it out…'))
    try {
      const {shares, said} = await this.source.ask('importance', [['metric', result], ['where', this.where()]])
      if (this.asked === about) this.share(shares, said)
    } catch (e) { this.bars.replaceChildren(h('p', {className: 'summary'}, e.message)) }
  }
  share(shares, said) {
    this.bars.replaceChildren(...(said ? [h('p', {className: 'summary'}, said)] : []), ...shares.slice(0, 12).map(([name, share, low, high]) => {
      const bar = h('i'), range = h('s'), percent = v => `${Math.round(100 * v)} %`
      bar.style.width = `${100 * share}%`; range.style.left = `${100 * low}%`; range.style.width = `${100 * Math.max(0.004, high - low)}%`
      return h('div', {title: `${name}: ${percent(share)}, between ${percent(low)} and ${percent(high)} when runs are drawn anew`},
        h('span', {}, name), h('span', {className: 'track'}, bar, range), h('b', {}, percent(share)))
    }))
  }

  destroy() { this.resize.disconnect() }
}
