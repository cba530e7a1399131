// The dashboard inside one element: a table of runs and a panel for each group of metrics. A host gives it a source:
//   source.ask(name, pairs)       a promise of an object, or of an ArrayBuffer for 'series'; rejected with a sentence
//   source.can                    what it answers besides 'runs' and 'series': a Set of 'csv', 'compare', 'run', 'machine', 'importance', 'edit', 'by' for
//                                 means of groups, and 'brief' for the keys of known runs that fulfil a condition
//   source.follow(news, state)    optional: calls news({rows, removed}) and state(text); returns a function that ends it
// What comes from runs is set as text, never as markup.
import {Chart} from './chart.js'
import {banded, colourings, groups, newMetrics, number, panelTitle, PALETTE, styles, stylesBy, unpack} from './data.js'
import {h} from './dom.js'
import {edit} from './edit.js'
import {compare, showRun} from './sheet.js'
import {Space} from './space.js'
import {RunTable} from './table.js'
import {where} from './where.js'

const MOST = 10
const WEIGHTS = [0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999] // Of the moving average, by keys

export class View {
  get most() { return MOST }

  constructor(root, source, {state = {}, remember = () => {}, titled = () => {}, chose = () => {}} = {}) {
    Object.assign(this, {root, source, rememberWith: remember, titled, chose, rows: new Map(), shown: [], metrics: [], main: null, chosen: new Set(),
      picked: false, charts: new Map(), window: null, style: new Map(), turn: 0, changed: new Set(), whole: new Set()})
    root.classList.add('mlkit')
    this.build()
    this.recall(state)
    this.loaded = this.load()
  }

  build() {
    const $ = this.$ = {}
    const ref = (name, o) => { o.dataset.ref = name; return $[name] = o }
    const check = (name, text) => h('label', {}, ref(name, h('input', {type: 'checkbox'})), ` ${text}`)
    this.root.append(
      h('header', {},
        ref('title', h('h1', {}, 'mlkit')),
        ref('filter', h('form', {}, h('label', {}, 'where ', ref('where', h('input', {spellcheck: false, autocomplete: 'off',
          placeholder: 'lr < 0.05 and acc > 0.9'}))), ' ', h('button', {}, 'Filter'))),
        h('label', {}, 'x ', ref('x', h('select'))),
        h('label', {}, 'smooth ', ref('smooth', h('input', {type: 'range', min: 0, max: 0.999, step: 0.001, value: 0})), ref('weight', h('output'))),
        check('logx', 'log x'), check('logy', 'log y'),
        h('label', {}, 'colour ', ref('colour', h('select'))),
        h('label', {hidden: !this.source.can?.has('by')}, 'mean by ', ref('by', h('select'))),
        h('label', {hidden: true}, 'spread ', ref('spread', h('select', {}, h('option', {value: 'range'}, 'min to max'), h('option', {value: 'std'}, '± std')))),
        ref('reset', h('button', {type: 'button'}, 'Show all of x')),
        ref('live', h('span', {className: 'live', role: 'status'}))),
      ref('error', h('div', {className: 'error', role: 'alert'})),
      ref('empty', h('div', {className: 'empty', hidden: true})),
      ref('work', h('main', {},
        h('div', {},
          ref('said', h('div', {className: 'summary'}, ref('count', h('span')), ' ', ref('all', h('button', {type: 'button'}, 'Draw all')), ' ',
            ref('none', h('button', {type: 'button'}, 'Draw none')), ' ',
            ref('compare', h('button', {type: 'button', hidden: !this.source.can?.has('compare')}, 'Compare the two drawn')), ' ',
            ref('edit', h('button', {type: 'button', hidden: true}, 'Edit the drawn')), ref('undo', h('button', {type: 'button', hidden: true}, 'Undo archiving')))),
          ref('legend', h('p', {className: 'legend'})),
          ref('table', h('div', {className: 'table', tabIndex: 0, role: 'region', 'aria-label': 'Runs'}))),
        ref('right', h('div', {}, ref('charts', h('div', {className: 'charts'})))))))
    const open = this.source.can?.has('run') ? key => this.guard(showRun(this.root, this.source, key, this.source.can.has('edit') && (() => this.edit([key])))) : null
    this.table = new RunTable($.table, {choose: (key, on) => this.choose(key, on), light: run => this.light(run), open, sorted: () => this.remember()})
    this.space = new Space($.right, {source: this.source, choose: keys => this.chooseOnly(keys), where: () => $.where.value, remember: () => this.remember(), open})
    $.right.prepend(this.space.root)
    $.said.append(' ', this.table.tools)
    for (const k of ['x', 'logx', 'logy']) $[k].addEventListener('change', () => { if (k === 'x') this.window = null; this.panels(); this.draw(); this.remember() })
    $.smooth.addEventListener('input', () => { this.weigh(); this.draw(); this.remember() })
    $.smooth.addEventListener('keydown', e => {
      const way = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}[e.key], now = +$.smooth.value
      if (!way) return
      e.preventDefault()
      $.smooth.value = (way > 0 ? WEIGHTS.find(v => v > now) : [...WEIGHTS].reverse().find(v => v < now)) ?? now
      $.smooth.dispatchEvent(new Event('input'))
    })
    $.filter.addEventListener('submit', e => { e.preventDefault(); this.picked = false; this.remember(); this.load(true) })
    $.all.addEventListener('click', () => this.chooseOnly(this.shown))
    $.none.addEventListener('click', () => this.chooseOnly([]))
    $.compare.addEventListener('click', () => this.guard(compare(this.root, this.source, [...this.chosen])))
    $.edit.addEventListener('click', () => this.edit([...this.chosen].filter(k => this.rows.has(k))))
    $.undo.addEventListener('click', () => { $.undo.hidden = true; this.guard(this.undo()) })
    $.colour.addEventListener('change', () => { this.paint(); for (const c of this.charts.values()) c.set(c.lines, this.style, c.names); this.remember() })
    for (const k of ['by', 'spread']) $[k].addEventListener('change', () => { this.paint(); this.draw(); this.remember() })
    $.reset.addEventListener('click', () => this.zoom(null))
    this.visibility = () => this.follow()
    document.addEventListener('visibilitychange', this.visibility)
    this.scheme = matchMedia('(prefers-color-scheme: dark)')
    this.recolour = () => { for (const c of this.charts.values()) c.plot.redraw(false); this.table.draw(); this.space.draw() }
    this.scheme.addEventListener('change', this.recolour)
  }

  // Paper is white: what is drawn takes its colours before it is printed.
  printsWhite() {
    for (const k of ['before', 'after']) addEventListener(`${k}print`, () => { this.root.classList.toggle('printing', k === 'before'); this.recolour() })
  }

  destroy() {
    this.stop?.(); this.gone = true
    document.removeEventListener('visibilitychange', this.visibility)
    this.scheme.removeEventListener('change', this.recolour)
    for (const c of this.charts.values()) c.destroy()
    this.space.destroy(); this.table.destroy()
    this.root.replaceChildren()
  }

  weigh() { const v = this.$.smooth.value; this.$.weight.textContent = v === '0' ? '' : v; this.$.smooth.setAttribute('aria-valuetext', v === '0' ? 'off' : v) }
  guard(promise) { return promise.catch(e => this.say(e.message)) }
  say(text) { this.$.error.textContent = text || '' }

  // -- what the view looks like, as plain strings that an address or the store can keep
  get state() {
    const $ = this.$, o = {where: $.where.value, x: $.x.value, smooth: $.smooth.value === '0' ? '' : $.smooth.value, logx: $.logx.checked ? '1' : '',
      logy: $.logy.checked ? '1' : '', zoom: this.window ? this.window.join(',') : '', colour: $.colour.value, by: $.by.value,
      spread: $.by.value && $.spread.value !== 'range' ? $.spread.value : '', all: [...this.whole].join(','),
      sort: `${this.table.down ? '-' : ''}${this.table.key}`, ...this.table.state, ...this.space.state}
    if (this.picked) o.runs = [...this.chosen].join(',')
    return Object.fromEntries(Object.entries(o).filter(([k, v]) => v !== '' || k === 'runs' || k === 'cols'))
  }
  remember() { this.rememberWith(this.state) }
  recall(o) {
    const $ = this.$
    if (o.where) $.where.value = o.where
    if (o.smooth) $.smooth.value = o.smooth
    this.weigh()
    $.logx.checked = !!o.logx; $.logy.checked = !!o.logy
    if (o.sort) { this.table.down = o.sort[0] === '-'; this.table.key = o.sort.replace(/^-/, '') }
    this.table.recall(o)
    const zoom = (o.zoom || '').split(',').map(Number)
    this.window = zoom.length === 2 && zoom.every(Number.isFinite) ? zoom : null
    if (o.runs !== undefined) { this.picked = true; this.chosen = new Set(o.runs.split(',').filter(Boolean)) }
    this.space.recall(o)
    this.wantedX = o.x; this.wanted = {colour: o.colour, by: o.by}
    $.spread.value = o.spread === 'std' ? 'std' : 'range'
    this.whole = new Set((o.all || '').split(',').filter(Boolean))
  }

  // Look as `state` says, as if opened anew.
  restore(state) { for (const k of ['where', 'by', 'colour', 'x']) this.$[k].value = ''; this.$.smooth.value = '0'; this.picked = false; this.recall(state); return this.load() }

  // -- what is chosen
  name(key) { const row = this.rows.get(key); return row.name?.trim() || row.id }
  choose(key, on) { this.chooseOnly(on ? [...this.chosen, key] : [...this.chosen].filter(k => k !== key)) }
  chooseOnly(keys) { this.picked = true; this.chosen = new Set(keys); this.paint(); this.draw(); this.remember() }
  edit(keys) { return this.guard(edit(this.root, this.source, keys.map(k => this.rows.get(k)), (rows, undo) => this.edited(rows, undo))) }
  edited(rows, undo) {
    if (undo) for (const row of rows) { this.rows.delete(row.key); this.chosen.delete(row.key) }
    else for (const row of rows) this.rows.set(row.key, row)
    this.undo = undo; this.$.undo.hidden = !undo
    return this.load()
  }
  light(run) { for (const c of this.charts.values()) c.light(run) }
  zoom(to) { this.moving = null; this.show(to, true); this.draw(); this.remember() }       // few points at once, all when they have come
  move(to) {
    if (!this.moving) requestAnimationFrame(() => { const at = this.moving; this.moving = null; if (at && !this.gone) this.show(at, true) })
    this.moving = to
  }
  show(to, moving) { if (!moving) this.moving = null; this.window = to; for (const c of this.charts.values()) { c.moving = moving || c.moving; c.window = to; c.redraw() } }
  paint() {
    this.fields ||= colourings([...this.rows.values()])
    const rows = this.shown.map(k => this.rows.get(k)).filter(Boolean), together = this.choices('by', {'': 'each run', '*': 'all drawn'})
    const by = this.choices('colour', {'': 'run'}), key = together && together !== '*' ? together : by
    const {style, legend} = key ? stylesBy(rows, key) : {style: together ? new Map(rows.map(o => [o.key, {color: PALETTE[0], dash: []}])) : styles(this.chosen), legend: []}
    this.style = style
    this.$.colour.disabled = together !== ''
    this.$.spread.parentElement.hidden = !together
    this.$.legend.replaceChildren(...legend.map(o => { const dot = h('span', {className: 'swatch'}); dot.style.background = o.color; return h('span', {}, dot, o.label) }))
    this.$.compare.disabled = this.chosen.size !== 2
    this.$.edit.hidden = !this.source.can?.has('edit'); this.$.edit.disabled = !this.chosen.size
    this.table.set(rows, {main: this.main, chosen: this.chosen, style: this.style, groupings: this.fields})
    this.space.set(rows, this.style, this.main)
    this.$.count.textContent = this.table.said
    this.chose([...this.chosen])
  }

  // What colours and means may go by: what `first` offers, then the settings and fields in which runs differ.
  choices(name, first) {
    const select = this.$[name], was = this.wanted?.[name] || select.value, all = [...Object.keys(first), ...this.fields]
    if (this.wanted) this.wanted[name] = null
    if (all.length !== select.options.length || all.join() !== [...select.options].map(o => o.value).join()) {
      select.replaceChildren(...all.map(value => h('option', {value}, first[value] || value.replace(/^config\./, ''))))
    }
    select.value = all.includes(was) ? was : ''
    return select.value
  }

  // How the lines of groups look and what they are called: each is known by its value, as JSON.
  labels(lines, by) {
    const style = new Map(), names = new Map(), rows = [...this.rows.values()]
    for (const o of lines) {
      const value = JSON.parse(o.run), row = rows.find(row => by === '*' || (row[by] ?? null) === value)
      style.set(o.run, this.style.get(row?.key) || {color: PALETTE[0], dash: []})
      names.set(o.run, `${by === '*' ? 'all' : value === null ? 'none' : number(value)} (${o.runs} ${o.runs === 1 ? 'run' : 'runs'})`)
    }
    return [style, names]
  }

  // -- the charts
  grouped() { return groups(this.metrics) }
  panels() {
    const wanted = this.grouped().slice(0, 24)
    for (const [k, c] of this.charts) if (!wanted.some(o => o.name === k)) { c.destroy(); this.charts.delete(k) }
    for (const o of wanted) {
      if (!this.charts.has(o.name)) this.charts.set(o.name, new Chart(this.$.charts, panelTitle(o.metrics), this.chartHooks(o)))
      const c = this.charts.get(o.name)
      c.group = o.name; c.whole = this.whole.has(o.name)
      c.metrics = o.metrics; c.many = o.metrics.length > 1; c.window = this.window; c.name(panelTitle(o.metrics))
    }
  }

  chartHooks() {
    const csv = this.source.can?.has('csv') && (async c => {
      const runs = [...this.chosen].filter(k => this.rows.has(k))
      const data = await this.source.ask('csv', [...c.metrics.map(m => ['metric', m]), ...runs.map(k => ['run', k])])
      const a = h('a', {href: URL.createObjectURL(new Blob([data], {type: 'text/csv'})), download: `${c.metrics[0].replaceAll('/', '-')}.csv`})
      a.click()
      setTimeout(() => URL.revokeObjectURL(a.href), 1000)
    })
    const fit = c => { c.whole = !c.whole; this.whole[c.whole ? 'add' : 'delete'](c.group); c.redraw(); this.remember() }
    return {fit, zoom: w => this.zoom(w), move: w => this.move(w), csv: csv && (c => this.guard(csv(c)))}
  }

  async draw(only) {
    const $ = this.$, mine = ++this.turn, runs = [...this.chosen].filter(k => this.rows.has(k)), logx = $.logx.checked, by = $.by.value
    const names = new Map(runs.map(k => [k, this.name(k)]))
    let failed = null
    const one = async c => {
      c.axes({logx, logy: $.logy.checked, wall: $.x.value === 'wall' && !logx})
      if (!runs.length) { c.set([], this.style, names, 'No run is drawn'); return }
      c.wait()
      const n = Math.max(50, Math.min(runs.length > 50 ? 320 : 2000, c.box.clientWidth))
      const q = [['x', $.x.value], ['n', n], ['smooth', $.smooth.value], ...(logx ? [['log', 1]] : []),
        ...(this.window ? [['lo', this.window[0]], ['hi', this.window[1]]] : []), ...c.metrics.map(m => ['metric', m]),
        ...(by ? [['by', by], ['spread', $.spread.value]] : [])]
      const ask = only && !by && only.length < runs.length ? only.filter(k => this.chosen.has(k)) : runs
      const fresh = ask.length ? unpack(await this.source.ask('series', [...q, ...ask.map(k => ['run', k])])).lines : []
      if (mine !== this.turn) return
      if (by) { const lines = banded(fresh); c.set(lines, ...this.labels(lines, by)); return }
      const kept = c.lines.filter(o => !o.part && this.chosen.has(o.run) && !ask.includes(o.run))
      c.set([...kept, ...fresh], this.style, names)
    }
    // A chart that can't be had says so, and the others are drawn.
    await Promise.all([...this.charts.values()].map(c => one(c).catch(e => { failed = e; if (mine === this.turn) c.set([], this.style, names, `Not here: ${e.message}`) })))
    if (mine !== this.turn) return
    if (failed || this.failed) this.say(failed?.message)
    this.failed = failed
    this.root.dataset.drawn = String(mine)
  }

  async sparks(runs) {
    if (!this.main || !runs.length) return
    const {lines} = unpack(await this.source.ask('series', [['metric', this.main], ['n', '20'], ...runs.slice(0, 200).map(o => ['run', o])]))
    for (const o of lines) this.table.sparks.set(o.run, o)
    this.table.drawSparks()
  }

  // -- loading and following
  // The answer to a condition from what is known of all runs, newest first; null when the host must be asked.
  here(text) {
    const rows = this.complete ? [...this.rows.values()].sort((a, b) => (b.started ?? Infinity) - (a.started ?? Infinity)) : [], found = text.trim() ? where(text, rows) : rows
    return found?.length ? {keys: found.map(row => row.key), empty: ''} : null
  }

  // `brief` asks only which of the known runs are meant.
  async load(brief = false) {
    const $ = this.$, mine = this.loads = (this.loads || 0) + 1          // an older answer may come later
    try {
      const known = brief && this.rows.size > 0 && this.source.can?.has('brief')
      const text = $.where.value, o = (known && this.here(text)) || await this.source.ask('runs', [['where', text], ...(known ? [['brief', 1]] : [])])
      if (mine !== this.loads) return
      if (known) {
        if (!o.keys.every(k => this.rows.has(k))) { await this.load(); return }
        if (!text.trim()) { const all = new Set(o.keys); for (const k of this.rows.keys()) if (!all.has(k)) this.rows.delete(k); this.complete = true }
        Object.assign(o, {title: $.title.textContent, rows: o.keys.map(k => this.rows.get(k)), metrics: this.metrics, main: this.main})
      }
      this.say('')
      $.title.textContent = o.title
      this.titled(o.title)
      if (!known && !text.trim()) this.rows = new Map()              // a run that is gone is no longer told
      for (const row of o.rows) this.rows.set(row.key, row)
      if (!known) { this.fields = null; if (!text.trim()) this.complete = true }
      this.shown = o.rows.map(row => row.key)
      if (o.main !== this.main) this.table.sparks.clear()
      this.metrics = o.metrics; this.main = o.main
      if (!this.picked) this.chosen = new Set(this.shown.slice(0, this.most))
      this.axis()
      $.empty.textContent = o.empty; $.empty.hidden = o.rows.length > 0; $.work.hidden = !o.rows.length
      this.root.classList.toggle('nothing', !this.rows.size && !$.where.value.trim())
      this.panels(); this.paint()
      await this.draw()
      await this.sparks(this.shown.filter(k => !this.table.sparks.has(k)))
    } catch (e) { this.say(e.message) }
    this.follow()
  }

  axis() {
    const x = this.$.x, was = this.wantedX || x.value
    x.replaceChildren(...[['step', 'step'], ...this.metrics.filter(m => m === 'epoch').map(m => [m, m]), ['time', 'relative time (s)'], ['wall', 'wall time'],
      ...this.metrics.filter(m => m !== 'epoch').map(m => [m, m])]
      .map(([value, text]) => h('option', {value}, text)))
    x.value = [...x.options].some(o => o.value === was) ? was : 'step'
    this.wantedX = null
  }

  follow() {
    if (!this.source.follow || this.gone) return
    if (document.hidden) { this.stop?.(); this.stop = null; return }
    this.stop ||= this.source.follow(o => this.news(o), text => { this.$.live.textContent = text })
  }

  // Without a filter all is known from the news themselves: a host that is busy need not be asked.
  // `keys` are those of all runs, `again` says that something may have been missed.
  news({rows, removed, again, keys}) {
    if (keys) {
      removed = this.complete ? [...this.rows.keys()].filter(k => !keys.includes(k)) : []
      again = keys.some(k => !this.rows.has(k)) && this.complete
      if (!removed.length && !again) return
    }
    const filtered = this.$.where.value.trim() !== ''
    const todo = this.todo ||= {whole: false, more: false}          // of all news since the charts were drawn
    todo.whole ||= again || removed.length > 0
    if (again) this.complete = false                                // what was missed meanwhile is not known
    this.fields = null
    for (const key of removed) this.rows.delete(key)
    for (const row of rows) {
      const fresh = !this.rows.has(row.key)
      this.rows.set(row.key, row); this.changed.add(row.key)
      if (fresh && filtered) todo.whole = true
      else if (fresh) {
        this.shown.unshift(row.key); todo.more = true
        if (!this.picked && this.chosen.size < MOST) this.chosen.add(row.key)
      }
      const found = newMetrics(row, this.metrics)
      if (found.length) { this.metrics = [...this.metrics, ...found]; this.main ||= found[0]; todo.more = true }
    }
    clearTimeout(this.due)
    this.due = setTimeout(() => {
      this.todo = null
      if (todo.whole) { this.load(); return }
      if (todo.more) {
        this.$.empty.hidden = true; this.$.work.hidden = false; this.root.classList.remove('nothing')
        this.axis(); this.panels()
      }
      const keys = [...this.changed]
      this.changed.clear(); this.paint(); this.draw(keys); this.guard(this.sparks(keys))
    }, todo.whole ? 100 : 50)
  }
}
