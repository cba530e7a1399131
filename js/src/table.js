// The table of runs: sorts, groups and chooses columns by itself, and tells its hooks what is chosen (choose), pointed at (light) and that
// it looks otherwise now (sorted). `tools` are its controls, for whoever shows it to place.
import {columns, duration, fields, fitted, gathered, joined, mean, number, parted, sorted} from './data.js'
import {h} from './dom.js'

const CELLS = 1400        // of one page of rows, of which there are 12 at least, and as many as fit; more come when the end of these is in sight
const short = k => k.replace(/^(config|summary)\./, '')

export class RunTable {
  constructor(root, hooks) {
    Object.assign(this, {root, hooks, rows: [], main: null, chosen: new Set(), style: new Map(), sparks: new Map(), key: 'started', down: true})
    this.head = h('thead'); this.body = h('tbody')
    Object.assign(this, {rest: [], pages: 1, group: '', groupings: [], folded: new Set(), cols: null, pin: [], auto: [], kept: new Map(), pinned: []})
    root.append(h('table', {}, this.head, this.body))
    this.pressing()
    this.controls()
    root.addEventListener('scroll', () => { if (root.scrollTop + 2 * root.clientHeight > root.scrollHeight) this.more() })
  }

  set(rows, more) {
    Object.assign(this, {rows}, more)
    this.auto = columns(rows)
    this.offer()
    this.draw()
  }

  // -- what is shown, as plain strings
  get state() { return {group: this.group, pin: joined(this.pin), ...(this.cols && {cols: joined(this.cols)})} }
  recall(o) {
    this.group = o.group || ''; this.pin = parted(o.pin || ''); this.cols = o.cols === undefined ? null : parted(o.cols)
  }
  changed() { this.pages = 1; this.draw(); this.hooks.sorted() }

  // Pinned ones first, then the others in their order.
  get shown() {
    const all = this.cols || ['duration', ...this.auto]
    return [...this.pin.filter(k => all.includes(k)), ...all.filter(k => !this.pin.includes(k))]
  }

  controls() {
    this.by = h('select')
    this.by.addEventListener('change', () => { this.group = this.by.value; this.folded.clear(); this.changed() })
    this.menu = h('div', {className: 'choices'})
    this.chooser = h('details', {className: 'menu'}, h('summary', {}, 'Columns'), this.menu)
    this.chooser.addEventListener('toggle', () => (this.chooser.open ? this.list() : this.menu.replaceChildren()))
    this.chooser.addEventListener('keydown', e => { if (e.key === 'Escape') { this.chooser.open = false; this.chooser.firstChild.focus(); e.stopPropagation() } })
    addEventListener('pointerdown', e => { if (this.chooser.open && !e.composedPath().includes(this.chooser)) this.chooser.open = false }, {signal: this.released.signal})
    this.tools = h('span', {className: 'tools'}, h('label', {}, 'group ', this.by), ' ', this.chooser)
  }

  // What runs can be grouped by; what was asked for stays until rows have it.
  offer() {
    const all = ['', ...this.groupings, ...(this.group && !this.groupings.includes(this.group) ? [this.group] : [])]
    if (all.length !== this.by.options.length || all.join('\n') !== [...this.by.options].map(o => o.value).join('\n')) this.by.replaceChildren(...all.map(value => h('option', {value}, short(value) || 'none')))
    this.by.value = this.group
  }

  // The menu of columns: made when it opens.
  list() {
    const shown = new Set(this.shown), all = [...new Set([...this.shown, ...fields(this.rows)])]
    const only = h('button', {type: 'button'}, 'Choose for me')
    only.addEventListener('click', () => { this.cols = null; this.pin = []; this.changed(); this.list(); this.menu.querySelector('button').focus() })
    this.menu.replaceChildren(only, ...all.map(k => this.choice(k, shown.has(k))))
  }

  choice(k, on) {
    const box = h('input', {type: 'checkbox', checked: on}), pin = h('button', {type: 'button', title: 'Keep at the left', 'aria-label': `pin ${k} at the left`}, 'pin')
    const told = () => { pin.setAttribute('aria-pressed', String(this.pin.includes(k))); box.checked = this.shown.includes(k) }
    box.addEventListener('change', () => {
      this.cols = box.checked ? [...this.shown, k] : this.shown.filter(o => o !== k)
      if (!box.checked) this.pin = this.pin.filter(o => o !== k)
      this.changed(); told()
    })
    pin.addEventListener('click', () => {
      this.pin = this.pin.includes(k) ? this.pin.filter(o => o !== k) : [...this.pin, k]
      if (!this.shown.includes(k) && this.pin.includes(k)) this.cols = [...this.shown, k]
      this.changed(); told()
    })
    told()
    return h('div', {}, h('label', {title: k}, box, ` ${k}`), pin)
  }

  get said() {
    const n = this.rows.length
    return `${n.toLocaleString('en')} ${n === 1 ? 'run' : 'runs'}, ${this.chosen.size} drawn`
  }

  // A click is a press and a release over the same element: rows wait for the release before they move.
  pressing() {
    const release = () => setTimeout(() => { this.pressed = false; if (this.late) { this.late = false; this.draw() } }, 0)
    this.root.addEventListener('pointerdown', () => { this.pressed = true })
    this.released = new AbortController()
    for (const k of ['pointerup', 'pointercancel']) addEventListener(k, () => { if (this.pressed) release() }, {signal: this.released.signal})
  }

  draw() {
    if (this.pressed) { this.late = true; return }
    const rows = sorted(this.rows, this.key, this.down), cols = this.shown, make = row => () => this.row(row, cols)
    const items = this.group ? gathered(rows, this.group).flatMap(o => [() => this.total(o, cols), ...(this.folded.has(o.id) ? [] : o.rows.map(make))]) : rows.map(make)
    this.page = Math.max(12, Math.min(100, Math.floor(CELLS / cols.length), Math.ceil(innerHeight / 26) + 8))       // what fits, and some
    this.pinned = this.pin.length ? ['', 'name', ...this.pin.filter(k => cols.includes(k))] : []
    const active = () => this.root.getRootNode().activeElement, focus = this.root.contains(active()) ? active().dataset : {}
    const looks = JSON.stringify([cols, this.pinned])
    if (looks !== this.looks) { this.looks = looks; this.kept.clear() }
    const before = this.kept, head = h('tr', {}, ...this.order(['', 'name', 'status', 'spark', ...cols], k => k).map(k => this.heading(k)))
    if (!this.head.firstChild?.isEqualNode(head)) this.head.replaceChildren(head)
    this.kept = new Map()
    this.found = k => before.get(k)
    arrange(this.body, items.slice(0, this.pages * this.page).map(make => make()))
    this.found = () => null
    this.rest = items.slice(this.pages * this.page)
    this.stick()
    const again = (name, where) => { if (focus[name] && active()?.dataset[name] !== focus[name]) [...where.querySelectorAll(`[data-${name}]`)].find(o => o.dataset[name] === focus[name])?.focus() }
    again('key', this.head); for (const name of ['pick', 'fold', 'open']) again(name, this.body)
    this.drawSparks()
    this.fill()
  }

  // Rows as wide as these are few: more of them come after the first are painted, until they reach the end of what is seen.
  fill() {
    if (this.rest.length && this.page < 100) requestAnimationFrame(() => { if (this.rest.length && this.root.clientHeight && this.root.scrollHeight <= this.root.clientHeight) { this.more(); this.fill() } })
  }

  // The next rows.
  more() {
    if (!this.rest.length) return
    this.pages++
    this.body.append(...this.rest.splice(0, this.page).map(make => make()))
    this.drawSparks()
  }

  // Cells of a row with the pinned ones first: of keys, or of what `key` finds the key of.
  order(cells, key) {
    if (!this.pinned.length) return cells
    const at = o => { const i = this.pinned.indexOf(key(o)); return i < 0 ? this.pinned.length : i }
    return cells.map((o, i) => [at(o), i, o]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(o => o[2])
  }

  // Where pinned columns stick: behind those before them, as wide as they are now.
  stick() {
    const wide = this.pinned.map((_, i) => this.head.firstChild.children[i].offsetWidth)
    if (wide.join() === this.wide) return
    this.wide = wide.join()
    wide.reduce((left, w, i) => { this.root.style.setProperty(`--pin${i}`, `${left}px`); return left + w }, 0)
  }
  pinning(cell, i) { if (i < this.pinned.length) { cell.classList.add('pin'); cell.style.left = `var(--pin${i})` } return cell }

  // A group's row: it folds, counts its runs and tells the means.
  total(o, cols) {
    const open = !this.folded.has(o.id), b = h('button', {type: 'button', className: 'fold', 'aria-expanded': String(open)}, `${open ? '▾' : '▸'} ${short(this.group)} ${o.label}`)
    b.dataset.fold = o.id
    b.addEventListener('click', () => { open ? this.folded.add(o.id) : this.folded.delete(o.id); this.draw() })
    const n = `${o.rows.length} ${o.rows.length === 1 ? 'run' : 'runs'}`
    const cell = k => {
      const v = mean(o.rows, k), text = v === null ? '' : k === 'duration' ? duration(v) : number(v)
      return h('td', {className: 'num', title: text && `Mean of ${short(k)}: ${v}`}, text)
    }
    const tr = this.line(h('tr', {className: 'group'}), cols, [h('td'), h('td', {title: o.label}, b), h('td', {}, n), h('td'), ...cols.map(cell)]), id = `group ${o.id}`
    const old = this.found?.(id), it = old?.isEqualNode(tr) ? old : tr
    this.kept.set(id, it)
    return it
  }

  line(tr, cols, cells) {
    const keys = ['', 'name', 'status', 'spark', ...cols]
    tr.append(...(this.pinned.length ? this.order(cells.map((o, i) => [keys[i], o]), o => o[0]).map((o, i) => this.pinning(o[1], i)) : cells))
    return tr
  }

  heading(k) {
    const th = h('th', {scope: 'col'})
    if (k === '') th.textContent = ' '
    else if (k === 'spark') { th.textContent = this.main || ''; th.title = 'The main metric over steps' }
    else {
      const on = this.key === k, b = h('button', {type: 'button', title: k}, short(k) + (on ? (this.down ? ' ↓' : ' ↑') : ''))
      b.dataset.key = k
      th.setAttribute('aria-sort', on ? (this.down ? 'descending' : 'ascending') : 'none')
      b.addEventListener('click', () => { this.down = on ? !this.down : false; this.key = k; this.root.scrollTop = 0; this.changed() })
      th.append(b)
    }
    return this.pinning(th, this.pinned.includes(k) ? this.pinned.indexOf(k) : this.pinned.length)
  }

  // The row of a run: the one that stands there, brought up to date, or a new one.
  row(row, cols) {
    const tr = this.found?.(`run ${row.key}`) || this.fresh(row, cols), {box, dot, named, label, status, cells} = tr.parts
    const name = row.name?.trim() || row.id, on = this.chosen.has(row.key), style = on && this.style.get(row.key)
    if (box.checked !== on) box.checked = on
    if (box.said !== name) { box.said = name; box.setAttribute('aria-label', `Draw ${name}`) }
    if (dot.color !== (style?.color || '')) dot.style.background = dot.color = style?.color || ''
    dot.classList.toggle('dashed', !!style?.dash?.length)
    put(named, 'title', row.notes ? `${name}\n${row.notes}` : name); put(label, 'textContent', name)
    if (status.textContent !== row.status) { status.classList.remove(status.textContent || 'x'); status.classList.add(row.status); status.textContent = row.status }
    cols.forEach((k, i) => this.cell(cells[i], row, k))
    this.kept.set(`run ${row.key}`, tr)
    return tr
  }

  fresh(row, cols) {
    const box = h('input', {type: 'checkbox'}), dot = h('span', {className: 'swatch'}), label = this.hooks.open ? this.opener(row) : h('span')
    box.dataset.pick = row.key
    box.addEventListener('change', () => this.hooks.choose(row.key, box.checked))
    const spark = h('canvas', {className: 'spark', width: 160, height: 40, 'aria-hidden': 'true'})
    spark.dataset.run = row.key
    const named = h('td', {}, dot, label), status = h('td'), cells = cols.map(() => h('td'))
    const tr = this.line(h('tr'), cols, [h('td', {}, box), named, status, h('td', {}, spark), ...cells])
    tr.dataset.run = row.key
    tr.parts = {box, dot, named, label, status, cells}
    for (const k of ['mouseenter', 'focusin']) tr.addEventListener(k, () => this.hooks.light(row.key))
    for (const k of ['mouseleave', 'focusout']) tr.addEventListener(k, () => this.hooks.light(null))
    return tr
  }

  opener(row) {
    const b = h('button', {type: 'button', className: 'open'})
    b.dataset.open = row.key
    b.addEventListener('click', () => this.hooks.open(row.key))
    return b
  }

  cell(td, row, k) {
    const v = row[k], numeric = typeof v === 'number'
    const text = k === 'duration' ? duration(row.status === 'running' && row.started ? Date.now() / 1000 - row.started : v) : number(v)
    td.classList.toggle('num', numeric || k === 'duration'); put(td, 'title', numeric ? String(v) : text); put(td, 'textContent', text)
  }

  drawSparks() {
    const color = getComputedStyle(this.root).color
    for (const c of this.body.querySelectorAll('canvas.spark')) {
      const o = this.sparks.get(c.dataset.run)
      if (c.shows !== o || c.color !== color) { sparkline(c, o, color); Object.assign(c, {shows: o, color}) }
    }
  }

  destroy() { this.released.abort() }
}

// Writing what is there already would cost a layout.
function put(o, name, value) { if (o[name] !== value) o[name] = value }

// The children of `parent` in this order, moving as few as need be.
function arrange(parent, next) {
  let at = parent.firstChild
  const wanted = new Set(next)
  for (const o of next) {
    while (at && !wanted.has(at)) { const gone = at; at = at.nextSibling; gone.remove() }
    if (o === at) at = at.nextSibling
    else parent.insertBefore(o, at)
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove() }
}

// The usual range, as in a chart; triangles stand where the line leaves it.
function sparkline(c, o, color) {
  if (!o?.n) { if (c.shows) c.width = 160; return }
  const from = o.x[0], end = o.x[o.n - 1], range = fitted([o], from, end)
  if (!range) return
  const [lo, hi] = range, g = c.getContext('2d')
  const beyond = []
  let pen = false
  g.clearRect(0, 0, 160, 40)
  g.strokeStyle = g.fillStyle = color; g.lineWidth = 2; g.beginPath()
  for (let i = 0; i < o.n; i++) {
    const v = o.y[i], x = 2 + 156 * (o.x[i] - from) / (end - from || 1)
    if (!Number.isFinite(v)) { pen = false; continue }
    const y = Math.max(-40, Math.min(80, 40 - 40 * (v - lo) / (hi - lo)))
    pen ? g.lineTo(x, y) : g.moveTo(x, y); pen = true
    if (v > hi || v < lo) beyond.push([x, v > hi ? 0 : 40])
  }
  g.stroke()
  for (const [x, y] of beyond) { g.beginPath(); g.moveTo(x, y); g.lineTo(x - 5, Math.abs(y - 9)); g.lineTo(x + 5, Math.abs(y - 9)); g.fill() }
}
