// uPlot asks, as it loads, for the numbers of the browser's language; one that Intl doesn't know, such as 'C', would end the page. It hears 'en' then.
const known = () => { try { return !!new Intl.NumberFormat(globalThis.navigator?.language) } catch { return false } }
const masked = !known()
if (masked) Object.defineProperty(navigator, 'language', {value: 'en', configurable: true})

// What others ask afterwards is the browser's own answer.
export const unmask = () => { if (masked) delete navigator.language }
