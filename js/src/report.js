// A report: the view over what the file itself keeps. Nothing is asked of anybody.
import {groups} from './data.js'
import {h} from './dom.js'
import {series, unfold} from './kept.js'
import {View} from './view.js'

const AXES = [['step', 'step'], ['time', 'relative time (s)'], ['wall', 'wall time']]
const kept = JSON.parse(document.getElementById('mlkit-report').textContent)

async function opened() {
  if (!globalThis.DecompressionStream) throw new Error('This browser is too old to unpack the curves; one of 2023 or later can')
  const text = atob(document.getElementById('mlkit-data').textContent), bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  const stream = new DecompressionStream('deflate'), writer = stream.writable.getWriter(), all = new Response(stream.readable).arrayBuffer()
  writer.write(bytes).catch(() => {})
  writer.close().catch(() => {})
  return unfold(kept.lines, kept.points, new Uint8Array(await all))
}

class ReportView extends View {
  grouped() { return kept.panels ? kept.panels.map((metrics, i) => ({name: String(i), metrics})) : groups(this.metrics) }

  // A file has no more axes than those it keeps.
  axis() {
    super.axis()
    const x = this.$.x, was = x.value
    x.replaceChildren(...AXES.map(([value, text]) => h('option', {value}, text)))
    x.value = AXES.some(o => o[0] === was) ? was : 'step'
  }

  // Only the averages that were taken over all points are offered.
  levels() {
    const was = +this.$.smooth.value, near = [0, ...kept.smooth].reduce((a, b) => (Math.abs(b - was) < Math.abs(a - was) ? b : a))
    const select = h('select', {}, ...[0, ...kept.smooth].map(v => h('option', {value: v}, v ? String(v) : 'off')))
    select.dataset.ref = 'smooth'
    select.value = String(near)
    select.addEventListener('change', () => { this.draw(); this.remember() })
    this.$.smooth.replaceWith(select)
    this.$.smooth = select
  }

  panels() {
    super.panels()
    const panels = [...this.charts.values()].map(o => o.root), prose = [...document.querySelectorAll('.prose')]
    const of = o => ('text' in o ? [prose[o.text]] : 'panel' in o ? [panels[o.panel]] : o.all ? panels : [this.$.runs])
    this.$.runs ||= this.$.table.parentElement
    if (!this.placed) this.$.charts.append(...kept.layout.flatMap(of).filter(Boolean))
    this.placed = true
  }
}

const inside = location.protocol === 'about:', hash = inside ? '' : location.hash.slice(1)
const source = {lines: opened(), async ask(name, pairs) {
  if (name === 'runs') return kept.runs
  if (name === 'series') return series(await this.lines, pairs)
  throw new Error(`A report keeps no ${name}`)
}}
const state = hash ? Object.fromEntries(new URLSearchParams(hash)) : kept.state
const remember = o => { if (!inside) history.replaceState(null, '', '#' + new URLSearchParams(o)) }

// The view is made when its lines are there, so that it is painted once.
function show() {
  const view = globalThis.view = new ReportView(document.body, source, {state: {runs: kept.runs.rows.map(o => o.key).join(','), ...state}, remember,
    titled: title => { document.title = title }})
  view.levels()
  document.body.append(document.querySelector('footer'))
  view.printsWhite()
}
source.lines.then(show, show)
