// Elements without markup: children are elements or texts, and a text is never read as HTML.
export function h(tag, props = {}, ...children) {
  const o = document.createElement(tag)
  for (const [k, v] of Object.entries(props)) k in o ? o[k] = v : o.setAttribute(k, v)
  o.append(...children)
  return o
}
